import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.stream_relay import relayed
from kuaimei.engines.types import Priority, Ticket
from kuaimei.errors import EngineError, EngineUnavailable
from tests.support.virtual_time import virtually

TICKET = Ticket(session="a")


class Maker:
    """Gives numbers."""

    def __init__(self, count: int, failure: Exception | None = None) -> None:
        self.count = count
        self.failure = failure
        self.made = 0
        self.closed = False

    async def __call__(self) -> AsyncIterator[int]:
        try:
            for number in range(self.count):
                self.made += 1
                yield number
            if self.failure is not None:
                raise self.failure
        finally:
            self.closed = True


@virtually
async def test_a_slow_reader_does_not_hold_the_place() -> None:
    scheduler, maker = Scheduler("x"), Maker(5)
    got = []
    async for number in relayed(scheduler.acquire(TICKET), maker, limit=10, patience_s=5):
        got.append(number)
        await asyncio.sleep(1000)
        assert (scheduler.busy, maker.closed) == (0, True)
    assert got == [0, 1, 2, 3, 4]


@virtually
async def test_what_is_made_ahead_is_bounded_and_given_up() -> None:
    scheduler, maker = Scheduler("x"), Maker(100)
    got = []

    async def read() -> None:
        async for number in relayed(
            scheduler.acquire(TICKET), maker, limit=10, size=lambda n: 2, patience_s=5
        ):
            got.append(number)
            assert maker.made - len(got) <= 6
            if number == 20:
                await asyncio.sleep(4.9)  # a pause is no reason
            if number == 40:
                await asyncio.sleep(5.1)
                assert (scheduler.busy, maker.closed) == (0, True)

    with pytest.raises(EngineUnavailable, match="was not consumed"):
        await read()
    assert got == list(range(len(got)))  # what was made comes all the same
    assert len(got) < 50


@virtually
async def test_a_failure_comes_after_what_was_made() -> None:
    scheduler = Scheduler("x")
    got: list[int] = []
    maker = Maker(3, EngineError("broke"))

    async def read() -> None:
        async for number in relayed(scheduler.acquire(TICKET), maker, limit=10, patience_s=5):
            got.append(number)  # noqa: PERF401 - what came before the failure counts

    with pytest.raises(EngineError, match="broke"):
        await read()
    assert got == [0, 1, 2]
    assert scheduler.busy == 0


@virtually
async def test_leaving_ends_the_making() -> None:
    scheduler, maker = Scheduler("x"), Maker(100)
    async with aclosing(relayed(scheduler.acquire(TICKET), maker, limit=10, patience_s=500)) as stream:
        async for number in stream:
            if number == 3:
                break
    assert (scheduler.busy, maker.closed) == (0, True)


@virtually
async def test_leaving_while_it_waits_for_its_place() -> None:
    scheduler, maker = Scheduler("x"), Maker(3)
    async with scheduler.acquire(Ticket(session="b")):
        stream = relayed(scheduler.acquire(TICKET), maker, limit=10, patience_s=5)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert scheduler.depth == 0
    assert maker.made == 0


@virtually
async def test_who_talks_finds_a_place_however_much_is_asked_for_beside() -> None:
    scheduler = Scheduler("far", 8, reserved=2)
    hold = asyncio.Event()
    holding = 0

    async def work(priority: Priority) -> None:
        nonlocal holding
        async with scheduler.acquire(Ticket(session=str(priority), priority=priority)):
            holding += 1
            await hold.wait()

    background = [asyncio.ensure_future(work(Priority.BACKGROUND)) for _ in range(20)]
    await asyncio.sleep(0)
    assert (scheduler.busy, scheduler.depth) == (6, 14)
    live = [asyncio.ensure_future(work(Priority.LIVE)) for _ in range(2)]
    await asyncio.sleep(0)
    assert scheduler.busy == 8
    hold.set()
    await asyncio.gather(*background, *live)
    assert holding == 22
    one = Scheduler("far", 1, reserved=1)  # with one place there is nothing to share
    async with one.acquire(Ticket(priority=Priority.BACKGROUND)):
        assert one.busy == 1
