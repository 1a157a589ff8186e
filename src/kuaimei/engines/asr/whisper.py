"""Whisper recognizer: decodes with a short window first and retries doubtful text with wider ones."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

import numpy as np

from kuaimei.audio.pcm import ASR_RATE, Pcm, duration_ms
from kuaimei.engines.asr.chunking import cut
from kuaimei.engines.asr.hallucination_filter import (
    Hypothesis,
    collapse,
    doubt,
    is_echo,
    is_hallucinated,
    is_repetitive,
    is_silence,
    units,
    voiced_s,
)
from kuaimei.engines.asr.postprocess import postprocess_transcript
from kuaimei.engines.asr.whisper_decoder import (
    FULL_WINDOW_S,
    LEAST_WINDOW_S,
    WIDE_WINDOW_S,
    WhisperInput,
    load_whisper,
)
from kuaimei.engines.executor import run_on_cores
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Language, Priority, STTChunk, STTReq, Ticket
from kuaimei.errors import QueueFull, WeightsError
from kuaimei.models.source import EngineSource
from kuaimei.system.memory import release_freed
from kuaimei.text.join import join_pieces

__all__ = ["SCRIPT_PROMPTS", "Decoder", "WhisperRecognizer", "open_whisper"]

SCRIPT_PROMPTS = {"zh": "以下是臺灣繁體中文的句子。", "en": ""}
"""Initial prompts: Whisper writes the script it has just seen; English needs no such hint."""
_GLOSSARY = {"zh": "詞彙：{}。", "en": "Glossary: {}."}
_GLOSSARY_JOINT = {"zh": "、", "en": ", "}

_LIVE_S = 28.0
"""Maximum length of a piece in seconds; a longer one would lose its padding in the window of 30 s."""
_BACKGROUND_S = 12.0
"""Maximum piece of a long non-live recording in seconds, so that a live turn can run in between."""
_FALLBACKS = ((WIDE_WINDOW_S, 0.0), (FULL_WINDOW_S, 0.0), (FULL_WINDOW_S, 0.4), (FULL_WINDOW_S, 0.8))
"""(window, temperature) pairs, tried in order while the text is doubtful."""
_LIVE_FALLBACKS = _FALLBACKS[:2]
"""Fallbacks for a waiting user; the best hypothesis of these is used."""


class Decoder(Protocol):
    """The part of `kuaimei.engines.asr.whisper_decoder.WhisperDecoder` in use; both methods block."""

    def encode(self, pcm: Pcm, language: Language | None, *, least_s: float = LEAST_WINDOW_S) -> WhisperInput:
        """Run the encoder, and detect the language if none is given."""
        ...

    def decode(
        self, heard: WhisperInput, prompt: str = "", *, beams: int = 1, temperature: float = 0.0
    ) -> Hypothesis:
        """Decode the encoder output to text."""
        ...


class WhisperRecognizer:
    """Recognizer shared by all conversations.

    Encoder and decoder are two steps on all the cores, so that a speculation dropped after the
    first does not cost the second.

    Args:
        decoder: The model.
        cores: Scheduler of the cores.
        beams: Width of the beam search.
    """

    def __init__(self, decoder: Decoder, cores: Scheduler, *, beams: int = 1) -> None:
        self._decoder = decoder
        self._cores = cores
        self._beams = beams

    async def transcribe(self, pcm: Pcm, req: STTReq) -> STTChunk:
        """Recognize ``pcm`` (16 kHz mono, any length).

        Returns:
            A final chunk: Traditional Chinese and/or English, punctuated; empty if there is no speech.

        Raises:
            EngineError: If recognition failed; `QueueFull` if the queue was full or the deadline passed.
        """
        longest_s = _LIVE_S if req.ticket.priority is Priority.LIVE else _BACKGROUND_S
        if len(pcm) <= _LIVE_S * ASR_RATE:
            longest_s = _LIVE_S
        texts: list[str] = []
        weights: list[tuple[float, int]] = []
        languages: list[Language] = []
        context = req.prompt
        for _, piece in cut(pcm, longest_s):
            language, draft = await self._piece(piece, req.model_copy(update={"prompt": context}))
            if draft is None:
                continue
            text = postprocess_transcript(draft.text)
            texts.append(text)
            weights.append((draft.log_probability, len(units(text))))
            languages.append(language)
            context = text
        spoken = sum(count for _, count in weights)
        return STTChunk(
            text=join_pieces(texts),
            is_final=True,
            language=max(set(languages), key=languages.count) if languages else None,
            end_ms=duration_ms(pcm, ASR_RATE),
            confidence=math.exp(sum(p * n for p, n in weights) / spoken) if spoken else None,
        )

    async def _piece(self, pcm: Pcm, req: STTReq) -> tuple[Language, Hypothesis | None]:
        """Return language and accepted hypothesis of at most 28 s; the latter is None without speech."""
        voice_s = voiced_s(pcm)
        if voice_s == 0.0:
            return req.language or "zh", None
        heard = await self._encode(pcm, req)
        style, glossary = _prompts(heard.language, req.hotwords)
        prompt = " ".join(filter(None, (style, glossary, req.prompt)))
        draft = await self._decode(heard, prompt, req.ticket)
        draft = _without_echo(draft, style, glossary, req.hotwords)
        nothing = is_silence(draft, voice_s) or is_hallucinated(draft, voice_s)
        if not nothing and doubt(draft, voice_s):
            draft = await self._resolve(pcm, heard.language, voice_s, draft, req)
        if is_repetitive(draft.text) or not draft.finished:
            draft = replace(draft, text=collapse(draft.text))
        if not units(draft.text) or is_silence(draft, voice_s) or is_hallucinated(draft, voice_s):
            return heard.language, None
        return heard.language, draft

    async def _resolve(
        self, pcm: Pcm, language: Language, voice_s: float, doubted: Hypothesis, req: STTReq
    ) -> Hypothesis:
        """Return the first plausible decoding of a wider window, else the best hypothesis so far."""
        live = req.ticket.priority is not Priority.BACKGROUND
        style, _ = _prompts(language, ())
        drafts = [doubted]
        told = req.model_copy(update={"language": language})
        encoded: dict[float, WhisperInput] = {}
        try:
            for window_s, temperature in _LIVE_FALLBACKS if live else _FALLBACKS:
                if window_s not in encoded:
                    encoded[window_s] = await self._encode(pcm, told, least_s=window_s)
                draft = await self._decode(encoded[window_s], style, req.ticket, temperature=temperature)
                draft = _without_echo(draft, style, "", ())
                if not doubt(draft, voice_s):
                    return draft
                drafts.append(draft)
        except QueueFull:
            pass  # no time is left: use the best hypothesis so far
        return max(drafts, key=lambda d: (not is_repetitive(d.text), d.finished, d.log_probability))

    async def _encode(self, pcm: Pcm, req: STTReq, *, least_s: float = LEAST_WINDOW_S) -> WhisperInput:
        def step() -> WhisperInput:
            return self._decoder.encode(pcm, req.language, least_s=least_s)

        return await run_on_cores(self._cores, req.ticket, self._cores.capacity, step)

    async def _decode(
        self, heard: WhisperInput, prompt: str, ticket: Ticket, *, temperature: float = 0.0
    ) -> Hypothesis:
        def step() -> Hypothesis:
            return self._decoder.decode(heard, prompt, beams=self._beams, temperature=temperature)

        return await run_on_cores(self._cores, ticket, self._cores.capacity, step)

    def warm(self) -> None:
        """Decode one second of noise with the prompts of both languages; blocking."""
        noise = np.random.default_rng(0).integers(-300, 300, ASR_RATE).astype(np.int16)
        for language, style in SCRIPT_PROMPTS.items():
            heard = self._decoder.encode(noise, None)
            draft = self._decoder.decode(
                replace(heard, language="zh" if language == "zh" else "en"), style, beams=self._beams
            )
            postprocess_transcript(f"預備 {draft.text}")


def _prompts(language: Language, hotwords: tuple[str, ...]) -> tuple[str, str]:
    """Return style sentence and glossary sentence, either of which may be empty."""
    glossary = _GLOSSARY[language].format(_GLOSSARY_JOINT[language].join(hotwords)) if hotwords else ""
    return SCRIPT_PROMPTS[language], glossary


def _without_echo(draft: Hypothesis, style: str, glossary: str, hotwords: tuple[str, ...]) -> Hypothesis:
    """Empty the hypothesis if it only recites its prompt; a hot word on its own is kept as plausible."""
    longest = max((len("".join(units(word))) for word in hotwords), default=0)
    echo = is_echo(draft.text, (style,)) or (
        len("".join(units(draft.text))) > longest + 2 and is_echo(draft.text, (glossary,))
    )
    return replace(draft, text="") if echo else draft


@asynccontextmanager
async def open_whisper(
    engine_context: EngineContext, source: EngineSource
) -> AsyncIterator[WhisperRecognizer]:
    """Load the model for all the cores and warm it up."""
    path = source.path
    if path is None:
        raise WeightsError(f"the weights of {source.name} are not installed; run: kuaimei models pull")

    def load() -> WhisperRecognizer:
        recognizer = WhisperRecognizer(
            load_whisper(path, engine_context.cores.capacity), engine_context.cores
        )
        recognizer.warm()
        release_freed()
        return recognizer

    yield await asyncio.to_thread(load)
