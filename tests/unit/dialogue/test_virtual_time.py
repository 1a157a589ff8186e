import asyncio
import time

import pytest

from tests.support.virtual_time import START, run_virtually, virtually


def test_half_an_hour_passes_at_once() -> None:
    async def sleep() -> float:
        await asyncio.sleep(1800.0)
        return asyncio.get_running_loop().time()

    assert run_virtually(sleep()) == pytest.approx(START + 1800.0)


def test_timers_fire_in_order() -> None:
    async def main() -> list[float]:
        order: list[float] = []

        async def after(seconds: float) -> None:
            await asyncio.sleep(seconds)
            order.append(seconds)

        await asyncio.gather(*(after(s) for s in (3.0, 0.5, 2.0, 0.1)))
        return order

    assert run_virtually(main()) == [0.1, 0.5, 2.0, 3.0]


def test_the_clock_stands_still_while_a_thread_computes() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        ticking = asyncio.ensure_future(asyncio.sleep(60.0))
        await loop.run_in_executor(None, time.sleep, 0.02)
        after = loop.time()
        await ticking
        return after

    assert run_virtually(main()) == START


def test_waiting_for_nothing_fails_instead_of_hanging() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="time stands still"):
        run_virtually(main())


def test_a_task_left_over_fails() -> None:
    async def main() -> None:
        main.task = asyncio.ensure_future(asyncio.sleep(9.0))  # type: ignore[attr-defined]

    with pytest.raises(AssertionError, match="left over"):
        run_virtually(main())


@virtually
async def test_a_decorated_test_runs_virtually() -> None:
    assert asyncio.get_running_loop().time() == START
