"""Background tasks: started again, ever later; counted, logged, ended together."""

import asyncio
import logging

import pytest

from kuaimei.system.supervision import Supervisor
from tests.support.virtual_time import START, virtually


def _now() -> float:
    return round(asyncio.get_running_loop().time() - START, 3)


@virtually
async def test_a_task_that_fails_is_started_again_ever_later(caplog: pytest.LogCaptureFixture) -> None:
    begun: list[float] = []

    async def fail() -> None:
        begun.append(_now())
        raise PermissionError("the folder is read-only")

    async with Supervisor() as supervisor:
        supervisor.start("voices", fail)
        await asyncio.sleep(200.0)
        assert begun[:8] == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5]
        assert begun[-1] - begun[-2] == 30.0
        assert supervisor.failures == {"voices": len(begun)}
        assert supervisor.failing == {"voices"}
    assert "PermissionError" in caplog.text
    assert "test_supervision.py" in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


@virtually
async def test_a_task_that_runs_for_a_minute_has_recovered() -> None:
    fails = 2

    async def work() -> None:
        nonlocal fails
        if fails:
            fails -= 1
            raise OSError
        await asyncio.Event().wait()

    async with Supervisor() as supervisor:
        supervisor.start("jobs", work)
        await asyncio.sleep(10.0)
        assert supervisor.failing == {"jobs"}
        await asyncio.sleep(60.0)
        assert not supervisor.failing
        assert supervisor.failures == {"jobs": 2}


@virtually
async def test_what_fails_elsewhere_is_told_of_where_it_is_included() -> None:
    async def fail() -> None:
        raise OSError

    async with Supervisor() as server, Supervisor() as lifespan:
        server.include(lifespan)
        lifespan.start("people", fail)
        server.start("jobs", asyncio.Event().wait)
        await asyncio.sleep(0.1)
        assert server.failing == {"people"}
        assert server.failures == {"people": 1, "jobs": 0}
        assert lifespan.failures == {"people": 1}


@virtually
async def test_after_a_steady_hour_the_first_delay_is_short_again() -> None:
    begun: list[float] = []

    async def work() -> None:
        begun.append(_now())
        if len(begun) == 4:
            await asyncio.sleep(3600.0)
        raise OSError

    async with Supervisor() as supervisor:
        supervisor.start("jobs", work)
        await asyncio.sleep(3700.0)
        assert begun[:5] == [0.0, 0.5, 1.5, 3.5, 3604.0]


@virtually
async def test_a_task_that_returns_is_done() -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1

    async with Supervisor() as supervisor:
        supervisor.start("once", work)
        await asyncio.sleep(100.0)
        supervisor.start("once", work)
        await asyncio.sleep(100.0)
        assert begun == 2
        assert not supervisor.failing
        assert supervisor.failures == {"once": 0}


@virtually
async def test_one_task_has_a_name_at_a_time() -> None:
    async with Supervisor() as supervisor:
        supervisor.start("jobs", asyncio.Event().wait)
        with pytest.raises(ValueError, match="'jobs' is already running"):
            supervisor.start("jobs", asyncio.Event().wait)


@virtually
async def test_closing_waits_until_all_have_cleaned_up() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1.0)
            ended.append("clean")

    async with Supervisor() as supervisor:
        supervisor.start("a", work)
        supervisor.start("b", work)
        await asyncio.sleep(0)
    assert ended == ["clean", "clean"]
