"""Preemptible background computation: a worker thread that pauses while a conversation needs its core.

A recording of ten minutes takes many seconds to measure, and a thread cannot be stopped from outside. So
it checks between two short steps whether it may go on; if a conversation needs the machine, it releases
its core immediately and waits until the machine is idle again.
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
"""Longest block of audio measured in one step; it takes some tenths of a second."""
_SEARCH_S: Final = 4.0
"""A block is cut at the quietest point of so many seconds at its end."""
_SMOOTH_FRAMES: Final = 7
"""Frames over which the energy is smoothed: it is low between two glottal pulses, too."""


class IdleSignal(Protocol):
    """Tells when the machine is idle. See `kuaimei.dialogue.idle_monitor.IdleMonitor`."""

    async def wait(self) -> None:
        """Wait until no conversation needs the machine."""
        ...

    def subscribe(self, callback: Callable[[bool], None]) -> Callable[[], None]:
        """Report now and on every change whether a conversation needs the machine; return an unsubscriber."""
        ...


class Cancelled(Exception):
    """The computation was cancelled: its result is no longer wanted."""


class PreemptibleTask(Generic[T]):
    """One computation in a thread that holds a core only while no conversation needs it.

    Args:
        scheduler: Scheduler of the cores.
        calm: Tells when a conversation needs the cores.
        thread: Executor that runs the computation.
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
        """Block the calling worker thread between two steps until it may go on.

        Raises:
            Cancelled: If the task was cancelled.
        """
        if not self._may.is_set():
            self._loop.call_soon_threadsafe(self._paused.set)
            self._may.wait()
        if self._stopped:
            raise Cancelled

    async def run(self, ticket: Ticket, function: Callable[[], T]) -> T:
        """Run ``function``, which calls `yield_point`, holding one unit of the scheduler while it computes.

        Cancelling stops it at its next step.

        Raises:
            QueueFull: If the scheduler's queue is full or the ticket's deadline has passed.
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
        """Wait until the thread has paused or finished; pause it when a conversation needs its core."""
        paused = asyncio.ensure_future(self._paused.wait())
        unsubscribe = self._calm.subscribe(lambda busy: self._may.clear() if busy else None)
        try:
            await asyncio.wait((work, paused), return_when=asyncio.FIRST_COMPLETED)
        finally:
            unsubscribe()
            paused.cancel()


class PreemptibleVad:
    """Voice activity detector with a yield point before each frame.

    Args:
        detector: The wrapped detector.
        breathe: See `PreemptibleTask.yield_point`.
    """

    def __init__(self, detector: VoiceActivityDetector, breathe: Callable[[], None]) -> None:
        self._detector = detector
        self._breathe = breathe
        self.frame_samples = detector.frame_samples

    def probability(self, frame: Pcm) -> float:
        """Return the detector's speech probability of ``frame``, after a yield point."""
        self._breathe()
        return self._detector.probability(frame)

    def reset(self) -> None:
        """Reset the detector."""
        self._detector.reset()


class PreemptibleExtractor:
    """Voice quality extractor that splits long audio into blocks, with a yield point before each.

    Blocks are cut at the quietest points. The F0 contours are concatenated; jitter, shimmer and harmonicity
    are means over the blocks, weighted by their numbers of voiced frames.

    Args:
        meter: The wrapped extractor.
        breathe: See `PreemptibleTask.yield_point`.
    """

    def __init__(self, meter: VoiceQualityExtractor, breathe: Callable[[], None] = lambda: None) -> None:
        self._meter = meter
        self._breathe = breathe
        self.name = meter.name

    def voice(self, samples: NDArray[np.float32], rate: int) -> VoiceQuality:
        """Measure ``samples`` at ``rate`` Hz block by block."""
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
    """Cut into blocks at frame boundaries, so that contours can be joined again."""
    frame = round(rate * FRAME_MS / 1000.0)
    longest, search = round(_BLOCK_S * 1000.0 / FRAME_MS), round(_SEARCH_S * 1000.0 / FRAME_MS)
    frames = len(samples) // frame
    # At rates such as 11025 Hz a frame is not a whole number of samples.
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
    """Call ``work``; return its result and the CPU seconds of this thread that it took."""
    started = time.thread_time()
    done = work()
    return done, time.thread_time() - started


def background_thread(name: str) -> ThreadPoolExecutor:
    """Create a single-threaded executor of low priority.

    Args:
        name: Name of the thread, for debuggers and process monitors.
    """
    return ThreadPoolExecutor(1, name, initializer=_be_nice)


def _be_nice() -> None:
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _retrieve(work: "asyncio.Future[T]") -> None:
    """Mark the exception as retrieved: the result is no longer awaited."""
    if not work.cancelled():
        work.exception()
