"""Long computing gives way between its steps, and long recordings are measured in blocks."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.analysis.preemptible import (
    PreemptibleExtractor,
    PreemptibleTask,
    PreemptibleVad,
    background_thread,
)
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.prosody import open_meter
from kuaimei.engines.prosody.types import VoiceQuality
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Priority, Ticket
from tests.support.fakes import FakeVad, silence

BACKGROUND = Ticket(session="sess_a", priority=Priority.BACKGROUND)
LIVE = Ticket(session="sess_b", priority=Priority.LIVE)
RATE = 16_000


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with background_thread("test") as pool:
        yield pool


class Work:
    """So many steps, each of which is told; it waits before each for ``go``."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.done = 0
        self.steps: PreemptibleTask[str] | None = None
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.ended = threading.Event()

    def __call__(self) -> str:
        assert self.steps is not None
        try:
            for _ in range(self.count):
                self.steps.yield_point()
                self.begun.release()
                assert self.go.acquire(timeout=30)
                self.done += 1
        finally:
            self.ended.set()
        return "done"


async def until(scheduler: Scheduler, busy: int) -> None:
    async with asyncio.timeout(30):
        while scheduler.busy != busy:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_whoever_is_more_important_gets_the_core_after_one_step(thread: ThreadPoolExecutor) -> None:
    scheduler, quiet, work = Scheduler("cores", 1), IdleMonitor(), Work(4)
    work.steps = PreemptibleTask(scheduler, quiet, thread)
    running = asyncio.ensure_future(work.steps.run(BACKGROUND, work))
    work.go.release(1)
    async with asyncio.timeout(30):
        while work.done < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await asyncio.to_thread(work.begun.acquire)
        await asyncio.to_thread(work.begun.acquire)
        live = scheduler.acquire(LIVE)
        granted = asyncio.ensure_future(live.__aenter__())
        await asyncio.sleep(0)  # it stands in line
        work.go.release(1)
        await granted
    assert work.done == 2
    assert not running.done()
    await live.__aexit__(None, None, None)
    work.go.release(4)
    assert await running == "done"
    assert (work.done, scheduler.busy) == (4, 0)


async def test_it_does_not_begin_while_somebody_talks_and_holds_when_somebody_does(
    thread: ThreadPoolExecutor,
) -> None:
    scheduler, quiet, work = Scheduler("cores", 1), IdleMonitor(settle_s=0.0), Work(3)
    watch = quiet.watch("sess_b")
    quiet._need(watch, True)
    work.steps = PreemptibleTask(scheduler, quiet, thread)
    running = asyncio.ensure_future(work.steps.run(BACKGROUND, work))
    await asyncio.sleep(0)
    assert (scheduler.busy, work.done) == (0, 0)
    quiet._need(watch, False)
    await until(scheduler, 1)
    quiet._need(watch, True)
    work.go.release(3)
    await until(scheduler, 0)
    assert work.done <= 1
    watch.close()
    assert await running == "done"


async def test_cancelled_it_ends_at_its_next_step(thread: ThreadPoolExecutor) -> None:
    scheduler, work = Scheduler("cores", 1), Work(1000)
    work.steps = PreemptibleTask(scheduler, IdleMonitor(), thread)
    running = asyncio.ensure_future(work.steps.run(BACKGROUND, work))
    await until(scheduler, 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    work.go.release(1000)
    assert await asyncio.to_thread(work.ended.wait, 30)
    assert work.done < 1000
    assert scheduler.busy == 0


async def test_what_fails_fails(thread: ThreadPoolExecutor) -> None:
    def broken() -> str:
        raise RuntimeError("no")

    scheduler = Scheduler("cores", 1)
    steps: PreemptibleTask[str] = PreemptibleTask(scheduler, IdleMonitor(), thread)
    with pytest.raises(RuntimeError, match="no"):
        await steps.run(BACKGROUND, broken)
    assert scheduler.busy == 0


def _speech(seconds: float) -> NDArray[np.float32]:
    """A voice with a pause every three seconds."""
    t = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(150.0 * 2.0 ** (0.2 * np.sin(2 * np.pi * 0.7 * t))) / RATE
    wave = sum(np.sin(n * phase) / n for n in range(1, 15))
    spoken = np.where(t % 3.0 < 2.6, 1.0, 0.0)
    noise = np.random.default_rng(3).normal(0.0, 0.003, len(t))
    return (0.2 * wave * spoken + noise).astype(np.float32)


def test_a_long_recording_is_measured_in_blocks_as_if_it_were_one() -> None:
    meter, breaths = open_meter("own"), []
    samples = _speech(40.0)
    patient = PreemptibleExtractor(meter, lambda: breaths.append(1))
    assert patient.name == "own"
    blocks, whole = patient.voice(samples, RATE), meter.voice(samples, RATE)
    assert len(breaths) == 4
    assert blocks.f0_hz.shape == whole.f0_hz.shape
    voiced = (blocks.f0_hz > 0) & (whole.f0_hz > 0)
    assert voiced.mean() > 0.8
    assert ((blocks.f0_hz > 0) != (whole.f0_hz > 0)).mean() < 0.01
    np.testing.assert_allclose(blocks.f0_hz[voiced], whole.f0_hz[voiced], rtol=0.02)
    assert blocks.jitter == pytest.approx(whole.jitter, rel=0.03)
    assert blocks.shimmer == pytest.approx(whole.shimmer, rel=0.03)
    assert blocks.hnr_db == pytest.approx(whole.hnr_db, rel=0.03)


def test_a_short_one_is_left_as_it_is() -> None:
    given: list[int] = []

    class Counting:
        name = "counting"

        def voice(self, samples: NDArray[np.float32], rate: int) -> VoiceQuality:
            given.append(len(samples))
            return VoiceQuality(np.zeros(len(samples) * 100 // rate, np.float32))

    meter = PreemptibleExtractor(Counting())
    for seconds in (0.0, 0.004, 11.9):
        assert meter.voice(np.zeros(int(seconds * RATE), np.float32), RATE).jitter is None
    assert given == [0, 64, int(11.9 * RATE)]
    assert len(meter.voice(np.zeros(30 * RATE + 7, np.float32), RATE).f0_hz) == 3000
    assert sum(given[3:]) == 30 * RATE + 7


def test_the_detector_breathes_between_frames() -> None:
    breaths: list[int] = []
    vad = PreemptibleVad(FakeVad(), lambda: breaths.append(1))
    assert vad.frame_samples == 512
    assert vad.probability(silence(32)) < 0.5
    vad.reset()
    assert len(breaths) == 1
