"""The durable job that makes the HQ rendering of a reply while the machine is idle."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol, TypeAlias

import numpy as np

from kuaimei.audio.pcm import EMPTY, Pcm
from kuaimei.audio.silence import silence, sound_bounds
from kuaimei.audio.streams import collect_pcm
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.protocols import Synthesizer
from kuaimei.engines.types import Priority, Ticket, TTSReq
from kuaimei.errors import EngineUnavailable, KuaimeiError, QueueFull, StoreError
from kuaimei.rendering.alignment import RenderedSentence, Sentence, boundaries, clause_starts, sentences
from kuaimei.rendering.broadcast import Announcements, Ready
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.store.renderings import RenderingTask
from kuaimei.store.rows import Boundary, Rendering
from kuaimei.system.failures import kind_of, trace_of

__all__ = ["EngineFor", "HqEngine", "Renderer", "RenderingCounts", "RenderingQueue"]

_log = logging.getLogger(__name__)

_ATTEMPTS: Final = 6
"""Attempts after which a rendering is given up; the process may have died in each."""
_PREEMPT_POLL_S: Final = 1.0
"""Seconds between two checks for pending transcriptions."""
_SENTENCE_PAUSE_MS: Final = 220.0
"""Minimum silence after a sentence; it is padded if the engine leaves less."""
_SYNTHESIS_TIMEOUT_S: Final = 180.0
"""Timeout of one sentence."""


@dataclass(frozen=True, slots=True)
class HqEngine:
    """Engine for the HQ rendering of one voice.

    Attributes:
        key: Engines of the same key are the same and loaded once.
        version: Name and version; a rendering made by another version is out of date.
        memory_mb: Megabytes it needs when loaded and working.
        open: Loads it.
        prepare: Loads the voice into it; returns the name under which the synthesizer knows the voice.
    """

    key: str
    version: str
    memory_mb: float
    open: Callable[[], AbstractAsyncContextManager[Synthesizer]]
    prepare: Callable[[Synthesizer], str]


EngineFor: TypeAlias = Callable[[str], Awaitable[HqEngine]]
"""The engine for a voice; raises `kuaimei.errors.KuaimeiError` if there is none."""


class RenderingQueue(Protocol):
    """Store of the replies to be rendered. See `kuaimei.store.renderings.RenderingRepository`."""

    async def begin(self, utterance: str) -> RenderingTask | None:
        """Claim the rendering of a reply; None if there is nothing to do."""
        ...

    async def wanted(self, utterance: str) -> bool:
        """Return False if the reply was deleted or its rendering cancelled."""
        ...

    async def has_pending_transcription(self) -> bool:
        """Return True if an utterance waits for transcription."""
        ...

    async def save(
        self,
        order: RenderingTask,
        pcm: Pcm,
        rate: int,
        *,
        engine: str,
        clauses: Sequence[Boundary],
        took_s: float,
    ) -> Rendering | None:
        """Save the rendering; None if it is no longer wanted."""
        ...

    async def mark_ready(self, order: RenderingTask) -> None:
        """Mark the existing rendering as up to date."""
        ...

    async def fail(self, order: RenderingTask, why: str, *, final: bool) -> None:
        """Record a failed attempt."""
        ...


@dataclass(slots=True)
class RenderingCounts:
    """Counters since the start of the process.

    Attributes:
        ready: Replies rendered.
        dropped: Renderings abandoned because they were no longer wanted.
        retried: Attempts that failed and will be repeated.
        failed: Replies given up.
        audio_s: Seconds of audio rendered.
        render_s: Seconds of synthesis, without waiting for an idle machine or for a model to load.
        waited_s: Seconds spent waiting until the machine was idle.
    """

    ready: int = 0
    dropped: int = 0
    retried: int = 0
    failed: int = 0
    audio_s: float = 0.0
    render_s: float = 0.0
    waited_s: float = 0.0


class Renderer:
    """Renders one reply at a time: call it with the id of the utterance.

    It pauses between sentences while a conversation is active and while transcriptions are pending; each
    sentence is queued for the cores behind all live work.

    Args:
        orders: Store of the replies to be rendered and of the results.
        engine_for: Selects the engine for a voice.
        model_cache: Loads the engine.
        idle_monitor: Tells when the machine is idle.
        announcements: Broadcast of finished renderings.
        counts: Counters to be updated, for metrics.
    """

    def __init__(
        self,
        orders: RenderingQueue,
        engine_for: EngineFor,
        model_cache: ModelCache,
        idle_monitor: IdleMonitor,
        announcements: Announcements,
        counts: RenderingCounts,
    ) -> None:
        self._counts = counts
        self._orders = orders
        self._engine_for = engine_for
        self._model_cache = model_cache
        self._idle_monitor = idle_monitor
        self._announcements = announcements

    async def __call__(self, utterance: str) -> None:
        """Render the reply.

        Raises:
            KuaimeiError: If it is to be tried again.
        """
        await self._wait_idle()
        order = await self._orders.begin(utterance)
        if order is None:
            return
        try:
            if order.attempts > _ATTEMPTS:
                raise _Unrecoverable(f"the rendering was started {_ATTEMPTS} times but never finished")
            await self._render(order)
        except asyncio.CancelledError:
            raise  # done again after the next start, unless it was cancelled
        except Exception as error:
            await self._failed(order, error)

    async def _render(self, order: RenderingTask) -> None:
        engine = await self._engine_for(order.voice)
        if order.engine == engine.version:
            await self._orders.mark_ready(order)
            return
        text = order.text
        async with self._model_cache.use(engine.key, engine.memory_mb, engine.open) as synthesizer:
            voice, rate = engine.prepare(synthesizer), synthesizer.sample_rate
            spoken: list[RenderedSentence] = []
            at, took_s = 0, 0.0
            for sentence in sentences(text):
                await self._wait_idle()
                if not await self._orders.wanted(order.utterance):
                    self._counts.dropped += 1
                    return
                started = time.monotonic()
                pcm = await self._synthesize(synthesizer, sentence, order, voice)
                took_s += time.monotonic() - started
                spoken.append(RenderedSentence(sentence, pcm, at))
                at += len(pcm)
        pcm = np.concatenate([EMPTY, *(one.pcm for one in spoken)])
        if not len(pcm):
            raise _Unrecoverable("the reply produced no audio")
        clauses = _clauses(order, spoken, len(pcm), rate)
        kept = await self._orders.save(
            order, pcm, rate, engine=engine.version, clauses=clauses, took_s=took_s
        )
        if kept is None:
            self._counts.dropped += 1
            return
        self._counts.ready += 1
        self._counts.audio_s += len(pcm) / rate
        self._counts.render_s += took_s
        self._announcements.publish(Ready(order.session, order.turn, order.utterance, kept))

    async def _synthesize(
        self, synthesizer: Synthesizer, sentence: Sentence, order: RenderingTask, voice: str
    ) -> Pcm:
        req = TTSReq(
            text=sentence.text.strip(),
            voice_id=voice,
            mode="hq",
            speed=order.speed,
            ticket=Ticket(session=order.session, priority=Priority.BACKGROUND),
        )
        try:
            async with asyncio.timeout(_SYNTHESIS_TIMEOUT_S):
                pcm = await collect_pcm(synthesizer.stream(req))
        except TimeoutError:
            raise EngineUnavailable(
                f"a sentence was not rendered within {_SYNTHESIS_TIMEOUT_S:g} s"
            ) from None
        return _with_pause(pcm, synthesizer.sample_rate)

    async def _wait_idle(self) -> None:
        """Wait until no conversation needs the machine and no transcription is pending."""
        started = time.monotonic()
        await self._idle_monitor.wait()
        while await self._orders.has_pending_transcription():
            await asyncio.sleep(_PREEMPT_POLL_S)
            await self._idle_monitor.wait()
        self._counts.waited_s += time.monotonic() - started

    async def _failed(self, order: RenderingTask, error: Exception) -> None:
        passing = isinstance(error, EngineUnavailable | QueueFull | StoreError | OSError | MemoryError)
        known = isinstance(error, KuaimeiError | OSError)
        again = (passing or not known) and order.attempts < _ATTEMPTS
        if not known:
            _log.error("unexpected error in a rendering:\n%s", trace_of(error))
        why = kind_of(error) if known else f"the engine failed ({kind_of(error)}); see the server log"
        if again:
            self._counts.retried += 1
        else:
            self._counts.failed += 1
            _log.warning("giving up the HQ rendering of reply %s: %s", order.utterance, why)
        await self._orders.fail(order, why, final=not again)
        if again:
            raise error if isinstance(error, KuaimeiError) else EngineUnavailable(why) from error


class _Unrecoverable(KuaimeiError):
    """The reply is not worth another attempt."""

    kind = "given_up"


def _with_pause(pcm: Pcm, rate: int) -> Pcm:
    bounds = sound_bounds(pcm, rate)
    if bounds is None:
        return EMPTY
    missing_ms = _SENTENCE_PAUSE_MS - (len(pcm) - bounds[1]) * 1000.0 / rate
    return np.concatenate([pcm, silence(missing_ms, rate)])


def _clauses(
    order: RenderingTask, spoken: Sequence[RenderedSentence], samples: int, rate: int
) -> list[Boundary]:
    places = [*boundaries(spoken, clause_starts(order.text, order.clauses), rate), samples]
    places[0] = 0
    ms = [round(place * 1000.0 / rate, 1) for place in places]
    return [Boundary(index, start, end) for index, (start, end) in enumerate(pairwise(ms))]
