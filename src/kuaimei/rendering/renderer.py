"""The durable job that gives a reply its second rendering, when nobody else needs the machine."""

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
"""One that was begun so often, be it that the process died each time, is given up."""
_PREEMPT_POLL_S: Final = 1.0
"""After this long it is asked again whether what was said is recognised by now."""
_SENTENCE_PAUSE_MS: Final = 220.0
"""At least so much silence between two sentences, where the engine leaves none itself."""
_SYNTHESIS_TIMEOUT_S: Final = 180.0
"""With one sentence, when the machine is quiet."""


@dataclass(frozen=True, slots=True)
class HqEngine:
    """What renders beautifully in a certain voice.

    Attributes:
        key: Engines of the same key are one and the same: loaded once.
        version: Name and version: of another version a rendering is another one.
        memory_mb: What it takes when it is loaded and works.
        open: Loads it.
        prepare: Makes it ready for the voice; the name by which that is to be asked for.
    """

    key: str
    version: str
    memory_mb: float
    open: Callable[[], AbstractAsyncContextManager[Synthesizer]]
    prepare: Callable[[Synthesizer], str]


EngineFor: TypeAlias = Callable[[str], Awaitable[HqEngine]]
"""The engine for a voice; raises `kuaimei.errors.KuaimeiError` if there is none."""


class RenderingQueue(Protocol):
    """What is to be rendered (`kuaimei.store.renderings.RenderingRepository`, whose words apply)."""

    async def begin(self, utterance: str) -> RenderingTask | None:
        """Take up the work; None: nothing is to be done any more."""
        ...

    async def wanted(self, utterance: str) -> bool:
        """False: its reply was deleted, or it was called off."""
        ...

    async def has_pending_transcription(self) -> bool:
        """Something that was said waits to be recognised."""
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
        """Keep the rendering; None if nobody wants it any more."""
        ...

    async def mark_ready(self, order: RenderingTask) -> None:
        """What is there is what would be made."""
        ...

    async def fail(self, order: RenderingTask, why: str, *, final: bool) -> None:
        """It did not succeed."""
        ...


@dataclass(slots=True)
class RenderingCounts:
    """What happened since the process began.

    Attributes:
        ready: Replies rendered.
        dropped: Those that nobody wanted any more.
        retried: Attempts that failed and will be repeated.
        failed: Replies given up.
        audio_s: Length of what was rendered.
        render_s: Time that took, waiting included neither for quiet nor for a model to be loaded.
        waited_s: Time spent waiting for quiet.
    """

    ready: int = 0
    dropped: int = 0
    retried: int = 0
    failed: int = 0
    audio_s: float = 0.0
    render_s: float = 0.0
    waited_s: float = 0.0


class Renderer:
    """Does the job for one reply at a time: call it with the id of the utterance.

    It waits between sentences while anybody talks or is being answered, and while what was said waits to be
    recognised; each sentence stands behind everything live in the queue of the cores.

    Args:
        orders: What is to be rendered, and where it goes.
        engine_for: Chooses what renders.
        residency: Loads it.
        quiet: Says when nobody needs the machine.
        announcements: Told of what is ready.
        counts: Kept up to date, for metrics.
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
                raise _Unrecoverable(f"the rendering was begun {_ATTEMPTS} times and never finished")
            await self._render(order)
        except asyncio.CancelledError:
            raise  # begun again at the next start, unless it was called off
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
            raise _Unrecoverable("the reply has nothing to say")
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
        """Until nobody needs the machine, and nothing that was said waits to be recognised."""
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
            _log.error("a rendering failed in a way it should not:\n%s", trace_of(error))
        why = kind_of(error) if known else f"the engine failed ({kind_of(error)}); the log says where"
        if again:
            self._counts.retried += 1
        else:
            self._counts.failed += 1
            _log.warning("the reply %s is not rendered a second time: %s", order.utterance, why)
        await self._orders.fail(order, why, final=not again)
        if again:
            raise error if isinstance(error, KuaimeiError) else EngineUnavailable(why) from error


class _Unrecoverable(KuaimeiError):
    """There is no sense in trying again."""

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
