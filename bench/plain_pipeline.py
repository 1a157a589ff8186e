"""Baseline: a plain streaming pipeline of the same engines.

A straightforward implementation: silence ends the turn, then the whole utterance is recognized in the
padded 30 s window, then the reply is streamed, cut into clauses at punctuation, and each clause is
synthesized as it comes while the language model continues. No speculation, no recognition of segments
during speech, no scheduling of the cores.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np

from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.engines.protocols import LanguageModel, Recognizer, Synthesizer, VoiceActivityDetector
from kuaimei.engines.types import LLMReq, Message, Priority, STTReq, Ticket, TTSReq

__all__ = ["END_SILENCE_MS", "PlainTurn", "plain_turn"]

END_SILENCE_MS = 500.0
"""Silence that ends a turn: between the defaults of the common frameworks (200 to 800 ms)."""
_MARKS = "，。！？；、,.!?;\n"
_LIVE = Ticket(session="plain", priority=Priority.LIVE)


@dataclass(frozen=True, slots=True)
class PlainTurn:
    """Result of one turn; milliseconds from the last voiced frame."""

    transcript: str
    reply: str
    endpoint_ms: float
    transcript_ms: float
    first_token_ms: float
    first_clause_ms: float
    first_audio_ms: float


async def plain_turn(
    pcm: Pcm,
    history: list[Message],
    *,
    vad: Callable[[], VoiceActivityDetector],
    recognizer: Recognizer,
    language_model: LanguageModel,
    synthesizer: Synthesizer,
    voice: str = "",
    max_tokens: int = 160,
) -> PlainTurn:
    """Feed ``pcm`` (16 kHz) in real time and reply to it; both messages are added to ``history``.

    Args:
        pcm: Int16 samples at 16 kHz.
        history: Messages so far.
        vad: Factory of voice activity detectors.
        recognizer: Transcribes the utterance.
        language_model: Writes the reply.
        synthesizer: Speaks the reply.
        voice: Id of the voice; empty: the default one.
        max_tokens: Maximum length of the reply.
    """
    utterance, last_voiced = await _listen(pcm, vad())

    def since() -> float:
        return (time.perf_counter() - last_voiced) * 1000.0

    endpoint_ms = since()
    chunk = await recognizer.transcribe(utterance, STTReq(language=None, ticket=_LIVE))
    transcript_ms = since()
    history.append(Message(role="user", content=chunk.text or "…"))
    marks: dict[str, float] = {}
    clauses: asyncio.Queue[str | None] = asyncio.Queue(maxsize=64)
    reply = ""

    async def write() -> None:
        nonlocal reply
        try:
            async for clause in _clauses(language_model, history, max_tokens, marks, since):
                reply += clause
                await clauses.put(clause)
        finally:
            await clauses.put(None)

    writing = asyncio.ensure_future(write())
    while (clause := await clauses.get()) is not None:
        req = TTSReq(text=clause, voice_id=voice, ticket=_LIVE)
        async with aclosing(synthesizer.stream(req)) as stream:  # type: ignore[type-var]
            async for _ in stream:
                marks.setdefault("audio", since())
    await writing
    history.append(Message(role="assistant", content=reply or "…"))
    return PlainTurn(
        chunk.text, reply, endpoint_ms, transcript_ms, marks["token"], marks["clause"], marks["audio"]
    )


async def _listen(pcm: Pcm, vad: VoiceActivityDetector) -> tuple[Pcm, float]:
    """Return the utterance and the time at which its last voiced frame ended."""
    size = vad.frame_samples
    silence = np.zeros(size, dtype=np.int16)
    begun, last_voiced, heard, frames = time.perf_counter(), 0.0, False, []
    for index in range(len(pcm) // size + 200):
        frame = pcm[index * size : (index + 1) * size]
        if len(frame) < size:
            frame = silence
        due = begun + (index + 1) * size / ASR_RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        frames.append(frame)
        if vad.probability(frame) >= 0.5:
            last_voiced, heard = due, True
        elif heard and (due - last_voiced) * 1000.0 >= END_SILENCE_MS and index * size >= len(pcm):
            break
    return np.concatenate(frames), last_voiced


async def _clauses(
    model: LanguageModel,
    history: list[Message],
    max_tokens: int,
    marks: dict[str, float],
    since: Callable[[], float],
) -> AsyncIterator[str]:
    clause = ""
    req = LLMReq(messages=tuple(history), max_tokens=max_tokens, ticket=_LIVE)
    async with aclosing(model.stream(req)) as stream:  # type: ignore[type-var]
        async for token in stream:
            marks.setdefault("token", since())
            clause += token
            if any(mark in token for mark in _MARKS):
                marks.setdefault("clause", since())
                yield clause
                clause = ""
    if clause.strip():
        marks.setdefault("clause", since())
        yield clause
