"""Jobs of other rooms: done once, in order of importance, apart from each other, cancelled."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from kuaimei.audio.pcm import Pcm
from kuaimei.settings import Settings
from kuaimei.store import Store, StoredTranscript, UtteranceRow, open_store
from kuaimei.store.jobs import Job
from tests.support.store.talking import eventually


async def nothing(utterance: UtteranceRow, pieces: AsyncIterator[Pcm]) -> StoredTranscript:
    return StoredTranscript("")


@asynccontextmanager
async def working(store: Store, jobs: Mapping[str, Job], *apart: str) -> AsyncIterator[None]:
    task = asyncio.ensure_future(store.run_jobs(jobs, transcribe=nothing, apart=apart))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Noting:
    """A job that notes for whom it was done; ``holds`` makes it wait there."""

    def __init__(self, *holds: str) -> None:
        self.holds = holds
        self.begun: list[str] = []
        self.done: list[str] = []
        self.cancelled: list[str] = []

    async def __call__(self, subject: str) -> None:
        self.begun.append(subject)
        try:
            if subject in self.holds:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.cancelled.append(subject)
            raise
        self.done.append(subject)


async def none_left(store: Store) -> bool:
    return not await store._jobs.counts()


async def test_each_is_done_once_and_the_most_important_first(settings: Settings) -> None:
    async with open_store(settings) as store:
        for subject, priority in (("low", -1), ("a", 0), ("high", 5), ("a", 0)):
            await store.defer("paint", subject, priority=priority)
        paint = Noting()
        async with working(store, {"paint": paint}):
            await eventually(lambda: none_left(store))
        assert paint.done == ["high", "a", "low"]


async def test_a_long_one_apart_keeps_nobody_waiting(settings: Settings) -> None:
    async with open_store(settings) as store:
        long, short = Noting("forever"), Noting()
        await store.defer("learn", "forever")
        await store.defer("paint", "x")
        async with working(store, {"learn": long, "paint": short}, "learn"):
            await eventually(lambda: _soon(short.done == ["x"] and long.begun == ["forever"]))
        assert long.cancelled == ["forever"]
        assert await store._jobs.counts() == {"todo": 1}  # the next process goes on with it, at once
        again = Noting()
        async with working(store, {"learn": again}, "learn"):
            await eventually(lambda: none_left(store))
        assert again.done == ["forever"]


async def test_cancelled_while_it_waits(settings: Settings) -> None:
    async with open_store(settings) as store:
        await store.defer("paint", "x")
        await store.cancel_job("paint", "x")
        await store.cancel_job("paint", "never queued")
        assert await none_left(store)


async def test_cancelled_while_it_is_done_it_has_ended_and_can_be_queued_again(settings: Settings) -> None:
    async with open_store(settings) as store:
        paint = Noting("x")
        await store.defer("paint", "x")
        async with working(store, {"paint": paint}):
            await eventually(lambda: _soon(paint.begun == ["x"]))
            await store.cancel_job("paint", "x")
            assert paint.cancelled == ["x"]
            assert await none_left(store)
            paint.holds = ()
            await store.defer("paint", "x")
            await eventually(lambda: none_left(store))
        assert paint.done == ["x"]


async def test_cancelled_by_another_process(settings: Settings) -> None:
    async with open_store(settings) as store, open_store(settings) as other:
        paint = Noting("x")
        await store.defer("paint", "x")
        async with working(store, {"paint": paint}):
            await eventually(lambda: _soon(paint.begun == ["x"]))
            await other.cancel_job("paint", "x")
            assert paint.cancelled == ["x"]
            assert await none_left(store)


async def _soon(holds: bool) -> bool:
    return holds
