import asyncio

import pytest

from kuaimei.errors import QueueFull
from kuaimei.server.limits import Admission, Gate


def test_places_come_free_again() -> None:
    counts: list[int] = []
    admission = Admission(1, counts.append)
    with admission.admit() as first:
        with admission.admit() as second:
            assert (first, second) == (True, False)
        assert admission.count == 1
    with pytest.raises(KeyError), admission.admit():
        raise KeyError
    assert admission.count == 0
    assert counts == [1, 0, 1, 0]


def test_a_session_has_one_connection() -> None:
    admission = Admission(5)
    with admission.claim("a") as first, admission.claim("a") as second, admission.claim("b") as other:
        assert (first, second, other) == (True, False, True)
    with admission.claim("a") as again:
        assert again


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
