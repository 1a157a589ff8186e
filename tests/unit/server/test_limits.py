import asyncio

import pytest

from kuaimei.errors import QueueFull
from kuaimei.server.limits import Gate


async def test_some_run_some_wait_and_the_rest_is_refused() -> None:
    gate = Gate("work", running=1, waiting=1)
    go = asyncio.Event()
    running = 0

    async def work() -> None:
        nonlocal running
        async with gate.enter():
            running += 1
            await go.wait()
            running -= 1

    tasks = [asyncio.ensure_future(work()) for _ in range(2)]
    await asyncio.sleep(0)
    assert running == 1
    with pytest.raises(QueueFull, match="2 requests"):
        async with gate.enter():
            pass
    go.set()
    await asyncio.gather(*tasks)
    async with gate.enter():
        assert running == 0
