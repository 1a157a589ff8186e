import asyncio

import pytest

from kuaimei.dialogue.task_set import TaskSet
from tests.support.virtual_time import virtually


@virtually
async def test_closing_ends_everything_in_good_order() -> None:
    tasks, tidied = TaskSet(), []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(100.0)
        finally:
            await asyncio.sleep(1.0)
            tidied.append(name)

    started = [tasks.start(work(name)) for name in "ab"]
    await asyncio.sleep(0.0)
    await tasks.close()
    assert sorted(tidied) == ["a", "b"]
    assert all(task.cancelled() for task in started)
    await tasks.close()


@virtually
async def test_a_failure_is_nobody_elses_business() -> None:
    tasks = TaskSet()

    async def fail() -> None:
        raise ValueError("broken")

    task = tasks.start(fail())
    await asyncio.sleep(0.1)
    with pytest.raises(ValueError, match="broken"):
        await task
    await tasks.close()
