import asyncio
import random

import pytest

from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import CommitFlag, Priority, Ticket
from kuaimei.errors import QueueFull
from tests.support.virtual_time import START, virtually


def ticket(session: str = "", priority: Priority = Priority.LIVE, deadline: float | None = None) -> Ticket:
    return Ticket(session=session, priority=priority, deadline=deadline)


async def hold(
    scheduler: Scheduler, ticket: Ticket, served: list[str], units: int = 1, for_s: float = 1.0
) -> None:
    async with scheduler.acquire(ticket, units):
        served.append(ticket.session)
        await asyncio.sleep(for_s)


@virtually
async def test_by_priority_then_by_turns_then_by_arrival() -> None:
    scheduler, served = Scheduler("x"), list[str]()
    orders = [
        ("first", Priority.LIVE),
        ("background", Priority.BACKGROUND),
        ("a", Priority.LIVE),
        ("a", Priority.LIVE),
        ("a", Priority.LIVE),
        ("b", Priority.LIVE),
        ("guess", Priority.SPECULATIVE),
        ("b", Priority.LIVE),
    ]
    await asyncio.gather(*(hold(scheduler, ticket(s, p), served) for s, p in orders))
    assert served == ["first", "a", "b", "a", "b", "a", "guess", "background"]
    assert (scheduler.busy, scheduler.depth) == (0, 0)


@virtually
async def test_the_first_in_line_is_not_overtaken_by_smaller_requests() -> None:
    scheduler, served = Scheduler("x", 2), list[str]()
    await asyncio.gather(
        hold(scheduler, ticket("one"), served),
        hold(scheduler, ticket("both"), served, units=9),
        hold(scheduler, ticket("small"), served),
    )
    assert served == ["one", "both", "small"]


@virtually
async def test_a_deadline_ends_the_waiting_not_the_work() -> None:
    scheduler, served = Scheduler("x"), list[str]()
    working = asyncio.ensure_future(hold(scheduler, ticket("a", deadline=START + 0.5), served, for_s=3.0))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match="deadline"):
        await hold(scheduler, ticket("b", deadline=START + 1.0), served)
    assert asyncio.get_running_loop().time() == pytest.approx(START + 1.0)
    await working
    assert served == ["a"]
    assert (scheduler.busy, scheduler.depth) == (0, 0)


@virtually
async def test_who_is_important_finds_a_place_in_a_full_queue() -> None:
    scheduler, served = Scheduler("x", limit=3), list[str]()
    orders = [
        ("holds", Priority.LIVE),
        ("early", Priority.BACKGROUND),
        ("guess", Priority.SPECULATIVE),
        ("late", Priority.BACKGROUND),
        ("live", Priority.LIVE),
        ("more", Priority.BACKGROUND),
    ]
    outcomes = await asyncio.gather(
        *(hold(scheduler, ticket(s, p), served) for s, p in orders), return_exceptions=True
    )
    assert served == ["holds", "live", "guess", "early"]
    refused = [s for (s, _), outcome in zip(orders, outcomes, strict=True) if isinstance(outcome, QueueFull)]
    assert refused == ["late", "more"]  # for the live one, and for want of a place
    assert (scheduler.busy, scheduler.depth) == (0, 0)


@virtually
async def test_who_gives_up_in_the_instant_it_is_put_out_frees_nothing() -> None:
    scheduler, served = Scheduler("x", limit=1), list[str]()
    holding = asyncio.ensure_future(hold(scheduler, ticket("holds"), served))
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(hold(scheduler, ticket("waits", Priority.BACKGROUND), served))
    await asyncio.sleep(0)
    live = asyncio.ensure_future(hold(scheduler, ticket("live"), served))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(holding, waiting, live, return_exceptions=True)
    assert served == ["holds", "live"]
    assert (scheduler.busy, scheduler.depth) == (0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_no_unit_is_lost_and_none_lent_twice(seed: int) -> None:
    @virtually
    async def scenario() -> None:
        dice = random.Random(seed)
        scheduler = Scheduler("x", 3, limit=8)
        lent = most = 0

        async def one() -> None:
            nonlocal lent, most
            await asyncio.sleep(dice.random() * 5.0)
            now = asyncio.get_running_loop().time()
            deadline = dice.choice((None, now + dice.random()))
            units = dice.randint(1, 4)
            asked = ticket(dice.choice("abcd"), dice.choice(list(Priority)), deadline)
            async with scheduler.acquire(asked, units):
                lent += min(units, 3)
                most = max(most, lent)
                try:
                    assert (
                        lent <= scheduler.busy <= 3
                    )  # some may have been granted theirs and not know it yet
                    await asyncio.sleep(dice.choice((0.0, 0.1, 0.3)))
                finally:
                    lent -= min(units, 3)

        tasks = [asyncio.ensure_future(one()) for _ in range(120)]
        for task in dice.sample(tasks, 40):
            asyncio.get_running_loop().call_later(dice.random() * 6.0, task.cancel)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        known = (QueueFull, asyncio.CancelledError)
        assert all(outcome is None or isinstance(outcome, known) for outcome in outcomes), outcomes
        assert most == 3
        assert (scheduler.busy, scheduler.depth) == (0, 0)
        async with scheduler.acquire(ticket(), 3):
            assert scheduler.busy == 3

    scenario()


@virtually
async def test_sessions_that_are_gone_are_forgotten() -> None:
    scheduler, served = Scheduler("x", limit=4), list[str]()
    for number in range(200):
        await hold(scheduler, ticket(f"session-{number}"), served, for_s=0.0)
    assert len(scheduler._served) <= 16


@virtually
async def test_a_guess_that_has_become_certain_moves_up_where_it_waits() -> None:
    scheduler, served, claim = Scheduler("x"), list[str](), CommitFlag()
    guess = Ticket(session="guess", priority=Priority.SPECULATIVE, claim=claim)
    copied = guess.model_copy(update={"session": "copy"})
    orders = [ticket("holds"), guess, copied, ticket("a"), ticket("b")]
    working = asyncio.gather(*(hold(scheduler, order, served) for order in orders))
    await asyncio.sleep(0.5)
    claim.certain = True
    await working
    assert served == ["holds", "guess", "copy", "a", "b"]


@virtually
async def test_who_can_gives_way_to_the_more_important_and_only_to_them() -> None:
    scheduler, asked = Scheduler("x"), list[str]()

    async def patient(name: str, priority: Priority) -> None:
        stop = asyncio.Event()

        def give_way() -> None:
            asked.append(name)
            stop.set()

        async with scheduler.acquire(ticket(name, priority), give_way=give_way):
            await asyncio.wait_for(stop.wait(), 100.0)

    rendering = asyncio.ensure_future(patient("rendering", Priority.BACKGROUND))
    await asyncio.sleep(1.0)
    equal = asyncio.ensure_future(hold(scheduler, ticket("equal", Priority.BACKGROUND), []))
    await asyncio.sleep(1.0)
    assert asked == []
    served = list[str]()
    await asyncio.gather(*(hold(scheduler, ticket(name), served) for name in ("live", "second")))
    assert asyncio.get_running_loop().time() == pytest.approx(START + 4.0)
    await asyncio.gather(rendering, equal)
    assert asked == ["rendering"]
    assert (scheduler.busy, scheduler.depth) == (0, 0)
    # A core is free: nobody has to give way.
    wide, rest = Scheduler("x", 2), asyncio.Event()
    async with wide.acquire(ticket("background", Priority.BACKGROUND), give_way=rest.set):
        async with wide.acquire(ticket("live")):
            assert not rest.is_set()
        async with asyncio.timeout(10.0):
            all_cores = asyncio.ensure_future(hold(wide, ticket("live"), [], units=2))
            await rest.wait()
    await all_cores
