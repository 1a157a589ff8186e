"""Long computing on the cores of a house in which somebody may begin to talk at any moment.

A recording of ten minutes takes many seconds to measure, and a thread cannot be stopped from outside. So
it asks, between two short steps, whether it may go on; where a conversation needs the machine it gives its
core back there and then, and waits until nobody does.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.prosody.types import Voice
from kuaimei.engines.protocols import VoiceActivityDetector, VoiceMeter
from kuaimei.engines.scheduling import Lane
from kuaimei.engines.types import Ticket

__all__ = ["Calm", "PatientDetector", "PatientMeter", "Steps", "Stopped", "background_thread"]

T = TypeVar("T")

_NICE: Final = 10


class Calm(Protocol):
    """Says when nobody needs the machine (`kuaimei.rendering.quiet.Quiet`, whose words apply)."""

    async def wait(self) -> None:
        """Until nobody does."""
        ...

    def subscribe(self, callback: Callable[[bool], None]) -> Callable[[], None]:
        """Tell whether somebody does, now and whenever that changes; what is returned ends it."""
        ...


class Stopped(Exception):
    """Nobody wants the result any more."""


class Steps(Generic[T]):
    """One computation in a thread that holds a core only while nobody else needs it.

    Args:
        lane: Of the cores.
        calm: Says when somebody needs them.
        thread: Where it is computed.
    """

    def __init__(self, lane: Lane, calm: Calm, thread: ThreadPoolExecutor) -> None:
        self._lane = lane
        self._calm = calm
        self._thread = thread
        self._may = threading.Event()
        self._stopped = False
        self._paused = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def breathe(self) -> None:
        """Between two steps, in the thread: returns when it may go on.

        Raises:
            Stopped: If it need not go on at all.
        """
        if not self._may.is_set():
            self._loop.call_soon_threadsafe(self._paused.set)
            self._may.wait()
        if self._stopped:
            raise Stopped

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
                async with self._lane.slot(ticket, give_way=self._may.clear):
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


class PatientDetector:
    """A detector of speech that waits between two frames when it should.

    Args:
        detector: Does the work.
        breathe: See `Steps.breathe`.
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


class PatientMeter:
    """A meter that waits before each stretch of speech when it should.

    Args:
        meter: Does the work.
        breathe: See `Steps.breathe`.
    """

    def __init__(self, meter: VoiceMeter, breathe: Callable[[], None]) -> None:
        self._meter = meter
        self._breathe = breathe
        self.name = meter.name

    def voice(self, samples: NDArray[np.float32], rate: int) -> Voice:
        """As the meter."""
        self._breathe()
        return self._meter.voice(samples, rate)


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
