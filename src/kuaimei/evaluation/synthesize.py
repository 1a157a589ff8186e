"""Synthesis of the evaluation sentences, and its timing."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np

from kuaimei.audio.pcm import EMPTY, Pcm
from kuaimei.engines.types import Priority, Ticket, TTSReq
from kuaimei.errors import EngineError
from kuaimei.evaluation.report import Speed, Tier

__all__ = ["SynthesisBackend", "SynthesizedSet", "speak_all", "time_speech"]

Clock: TypeAlias = Callable[[], float]

_TIMES: Final = 3
_AT_ONCE: Final = 2


class SynthesisBackend(Protocol):
    """Part of `kuaimei.engines.protocols.Synthesizer` that the evaluation needs."""

    sample_rate: int

    def stream(self, req: TTSReq) -> AsyncIterator[Pcm]:
        """Synthesize the text."""
        ...


@dataclass(frozen=True, slots=True)
class SynthesizedSet:
    """Sentences and their audio.

    Attributes:
        texts: The sentences.
        clips: One for each text.
        rate: Sample rate in Hz.
    """

    texts: tuple[str, ...]
    clips: tuple[Pcm, ...]
    rate: int


async def speak_all(
    speaker: SynthesisBackend, texts: Sequence[str], voice: str, tier: Tier
) -> SynthesizedSet:
    """Synthesize ``texts`` in ``voice``, two at a time: the HQ tier has one core for each.

    Args:
        speaker: Engine.
        texts: Sentences.
        voice: Id of the voice in the engine.
        tier: Tier to synthesize with.

    Raises:
        EngineError: If the engine failed, or returned silence for one of them.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def speak(text: str) -> Pcm:
        async with places:
            clip, _ = await _speak(speaker, text, voice, tier, time.perf_counter)
        if not clip.any():
            raise EngineError(f"the voice {voice} produced no audio for {text[:40]!r}")
        return clip

    try:
        async with asyncio.TaskGroup() as group:
            spoken = [group.create_task(speak(text)) for text in texts]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return SynthesizedSet(tuple(texts), tuple(task.result() for task in spoken), speaker.sample_rate)


async def time_speech(
    speaker: SynthesisBackend, text: str, voice: str, tier: Tier, *, clock: Clock = time.perf_counter
) -> Speed:
    """Measure the time to synthesize ``text``; medians of three runs after a warm-up.

    Args:
        speaker: Engine.
        text: Text to synthesize.
        voice: Id of the voice in the engine.
        tier: Tier to synthesize with.
        clock: Returns seconds.
    """
    await _speak(speaker, text, voice, tier, clock)
    first, whole, audio_s = [], [], 0.0
    for _ in range(_TIMES):
        started = clock()
        clip, first_s = await _speak(speaker, text, voice, tier, clock)
        whole.append(clock() - started)
        first.append(first_s)
        audio_s = len(clip) / speaker.sample_rate
    return Speed(
        whole_s=round(statistics.median(whole), 3),
        first_audio_s=round(statistics.median(first), 3),
        audio_s=round(audio_s, 2),
    )


async def _speak(
    speaker: SynthesisBackend, text: str, voice: str, tier: Tier, clock: Clock
) -> tuple[Pcm, float]:
    """Return the clip, and the seconds until its first chunk."""
    req = TTSReq(
        text=text, voice_id=voice, mode=tier, ticket=Ticket(session="judging", priority=Priority.LIVE)
    )
    pieces: list[Pcm] = [EMPTY]
    started, first_s = clock(), 0.0
    stream: AbstractAsyncContextManager[Any] = aclosing(speaker.stream(req))
    async with stream as chunks:
        async for pcm in chunks:
            if len(pieces) == 1:
                first_s = clock() - started
            pieces.append(pcm)
    return np.concatenate(pieces), first_s
