import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from kuaimei.server.readiness import Readiness
from tests.support.server.app_server import MemoryArchive


def test_an_answer_is_used_for_two_seconds(
    on_virtual_time: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    async def run() -> None:
        archive = MemoryArchive()
        readiness = Readiness(archive)
        assert (await readiness.checks())["store"] == "ok"
        archive.health = never  # type: ignore[method-assign]
        await asyncio.sleep(1.9)
        assert (await readiness.checks())["store"] == "ok"
        await asyncio.sleep(0.2)
        assert (await readiness.checks())["store"] == "unavailable"

    async def never() -> Any:
        await asyncio.Event().wait()

    on_virtual_time(run())


async def test_without_a_store_nothing_is_in_the_way() -> None:
    assert await Readiness(None).checks() == {"engines": "ok", "store": "off"}
