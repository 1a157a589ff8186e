import asyncio
import threading

import pytest

from kuaimei.engines.executor import run_on_cores
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Priority, Ticket
from kuaimei.errors import QueueFull
from tests.support.virtual_time import virtually

LIVE = Ticket(priority=Priority.LIVE)


async def started(event: threading.Event) -> None:
    await asyncio.to_thread(event.wait)


@virtually
async def test_the_result_comes_back_and_the_units_too() -> None:
    scheduler = Scheduler("cores", 2)
    assert await run_on_cores(scheduler, LIVE, 2, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await run_on_cores(scheduler, LIVE, 1, divmod, 7, 0)
    assert scheduler.busy == 0


@virtually
async def test_units_stay_lent_until_the_thread_is_done() -> None:
    scheduler, begun, may_end = Scheduler("cores", 2), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait()
        raise ValueError("nobody waits for this any more")

    computing = asyncio.ensure_future(run_on_cores(scheduler, LIVE, 2, work))
    await asyncio.sleep(0)
    await started(begun)
    computing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await computing
    assert scheduler.busy == 2
    waiting = asyncio.ensure_future(run_on_cores(scheduler, LIVE, 1, str, 5))
    may_end.set()
    assert await waiting == "5"
    assert scheduler.busy == 0


@virtually
async def test_who_is_cancelled_in_the_queue_leaves_it() -> None:
    scheduler, ran = Scheduler("cores", 1), list[int]()
    async with scheduler.acquire(LIVE):
        waiting = asyncio.ensure_future(run_on_cores(scheduler, LIVE, 1, ran.append, 1))
        await asyncio.sleep(1.0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert scheduler.depth == 0
        late = LIVE.model_copy(update={"deadline": asyncio.get_running_loop().time() + 1.0})
        with pytest.raises(QueueFull):
            await run_on_cores(scheduler, late, 1, ran.append, 2)
    assert not ran
    assert scheduler.busy == 0
