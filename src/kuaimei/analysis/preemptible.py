"""Long computing on the cores of a server in which somebody may begin to talk at any moment.

A recording of ten minutes takes many seconds to measure, and a thread cannot be stopped from outside. So
it asks, between two short steps, whether it may go on; where a conversation needs the machine it gives its
core back there and then, and waits until nobody does.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.prosody.types import FRAME_MS, VoiceQuality
from kuaimei.engines.protocols import VoiceActivityDetector, VoiceQualityExtractor
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Ticket

__all__ = [
    "Cancelled",
    "IdleSignal",
    "PreemptibleExtractor",
    "PreemptibleTask",
    "PreemptibleVad",
    "background_thread",
    "timed",
]

T = TypeVar("T")

_NICE: Final = 10
_BLOCK_S: Final = 12.0
"""A step of this takes some tenths of a second."""
_SEARCH_S: Final = 4.0
"""A block ends at the quietest moment of its last seconds …"""
_SMOOTH_FRAMES: Final = 7
"""… of so many frames: between two glottal pulses it is quiet, too."""


class IdleSignal(Protocol):
    """Says when nobody needs the machine (`kuaimei.dialogue.idle_monitor.IdleMonitor`, whose words apply)."""

    async def wait(self) -> None:
        """Until nobody does."""
        ...

    def subscribe(self, callback: Callable[[bool], None]) -> Callable[[], None]:
        """Tell whether somebody does, now and whenever that changes; what is returned ends it."""
        ...


class Cancelled(Exception):
    """Nobody wants the result any more."""


class PreemptibleTask(Generic[T]):
    """One computation in a thread that holds a core only while nobody else needs it.

    Args:
        lane: Of the cores.
        calm: Says when somebody needs them.
        thread: Where it is computed.
    """

    def __init__(self, scheduler: Scheduler, calm: IdleSignal, thread: ThreadPoolExecutor) -> None:
        self._scheduler = scheduler
        self._calm = calm
        self._thread = thread
        self._may = threading.Event()
        self._stopped = False
        self._paused = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def yield_point(self) -> None:
        """Between two steps, in the thread: returns when it may go on.

        Raises:
            Stopped: If it need not go on at all.
        """
        if not self._may.is_set():
            self._loop.call_soon_threadsafe(self._paused.set)
            self._may.wait()
        if self._stopped:
            raise Cancelled

    async def run(self, ticket: Ticket, function: Callable[[], T]) -> T:
        """Compute ``function``, which calls `breathe`, holding one unit of the lane whenever it computes.

        Cancelling stops it at its next step.

        Raises:
            QueueFull: If there was no place or time for it.
        """
        work: asyncio.Future[T] | None = None
        try:
            while work is None or not work.done():
                await self._calm.wait()
                async with self._scheduler.acquire(ticket, give_way=self._may.clear):
                    self._paused.clear()
                    self._may.set()
                    if work is None:
                        work = self._loop.run_in_executor(self._thread, function)
                    await self._until_paused(work)
        finally:
            self._stopped = True
            self._may.set()
            if work is not None and not work.done():
                work.add_done_callback(_retrieve)
        return work.result()

    async def _until_paused(self, work: "asyncio.Future[T]") -> None:
        """Until the thread waits to go on, or is done; it is told to wait when somebody needs its core."""
        paused = asyncio.ensure_future(self._paused.wait())
        unsubscribe = self._calm.subscribe(lambda busy: self._may.clear() if busy else None)
        try:
            await asyncio.wait((work, paused), return_when=asyncio.FIRST_COMPLETED)
        finally:
            unsubscribe()
            paused.cancel()


class PreemptibleVad:
    """A detector of speech that waits between two frames when it should.

    Args:
        detector: Does the work.
        breathe: See `PreemptibleTask.breathe`.
    """

    def __init__(self, detector: VoiceActivityDetector, breathe: Callable[[], None]) -> None:
        self._detector = detector
        self._breathe = breathe
        self.frame_samples = detector.frame_samples

    def probability(self, frame: Pcm) -> float:
        """As the detector."""
        self._breathe()
        return self._detector.probability(frame)

    def reset(self) -> None:
        """As the detector."""
        self._detector.reset()


class PreemptibleExtractor:
    """A meter that takes what is long in blocks, and waits before each when it should.

    Blocks are cut where it is quietest. F0 is as of the whole; jitter, shimmer and harmonicity are means over
    the blocks, each as heavy as it has voiced frames.

    Args:
        meter: Does the work.
        breathe: See `PreemptibleTask.breathe`.
    """

    def __init__(self, meter: VoiceQualityExtractor, breathe: Callable[[], None] = lambda: None) -> None:
        self._meter = meter
        self._breathe = breathe
        self.name = meter.name

    def voice(self, samples: NDArray[np.float32], rate: int) -> VoiceQuality:
        """As the meter."""
        found = []
        for block in _blocks(samples, rate):
            self._breathe()
            found.append(self._meter.voice(block, rate))
        if len(found) == 1:
            return found[0]
        return VoiceQuality(
            np.concatenate([one.f0_hz for one in found]),
            jitter=_mean([(one.f0_hz, one.jitter) for one in found]),
            shimmer=_mean([(one.f0_hz, one.shimmer) for one in found]),
            hnr_db=_mean([(one.f0_hz, one.hnr_db) for one in found]),
        )


def _blocks(samples: NDArray[np.float32], rate: int) -> list[NDArray[np.float32]]:
    """Cut at whole frames, so that contours can be joined again."""
    frame = round(rate * FRAME_MS / 1000.0)
    longest, search = round(_BLOCK_S * 1000.0 / FRAME_MS), round(_SEARCH_S * 1000.0 / FRAME_MS)
    frames = len(samples) // frame
    # At such a rate as 11025 Hz frames do not begin at samples.
    if frames <= longest or rate * FRAME_MS / 1000.0 != frame:
        return [samples]
    energy = np.square(samples[: frames * frame], dtype=np.float64).reshape(frames, frame).sum(axis=1)
    smooth = np.convolve(energy, np.ones(_SMOOTH_FRAMES), "same")
    cuts = [0]
    while frames - cuts[-1] > longest:
        start = cuts[-1] + longest - search
        cuts.append(start + int(np.argmin(smooth[start : start + search])))
    ends = [*(at * frame for at in cuts[1:]), len(samples)]
    return [samples[at * frame : end] for at, end in zip(cuts, ends, strict=True)]


def _mean(parts: Sequence[tuple[NDArray[np.float32], float | None]]) -> float | None:
    known = [(np.count_nonzero(f0_hz), value) for f0_hz, value in parts if value is not None]
    weight = sum(frames for frames, _ in known)
    return sum(frames * value for frames, value in known) / weight if weight else None


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Do ``work`` here and now, and tell the seconds of one core that it took."""
    started = time.thread_time()
    done = work()
    return done, time.thread_time() - started


def background_thread(name: str) -> ThreadPoolExecutor:
    """One thread that yields to everybody where all cores are busy.

    Args:
        name: Of the thread, for whoever looks at the process.
    """
    return ThreadPoolExecutor(1, name, initializer=_be_nice)


def _be_nice() -> None:
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _retrieve(work: "asyncio.Future[T]") -> None:
    """Nobody waits for the result any more, nor for its failure."""
    if not work.cancelled():
        work.exception()
