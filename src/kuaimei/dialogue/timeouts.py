"""Timeout that excludes the time a request spends queued."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from kuaimei.engines.types import QueueTimer

__all__ = ["timeout_excluding_queue"]

_MIN_CHECK_INTERVAL_S: Final = 0.25
"""Minimum seconds between two checks of the elapsed time."""


@asynccontextmanager
async def timeout_excluding_queue(seconds: float, wait: QueueTimer | None = None) -> AsyncGenerator[None]:
    """Limit the block to ``seconds``, not counting the time by which ``wait`` grows meanwhile.

    Raises:
        TimeoutError: If it took longer.
    """
    loop = asyncio.get_running_loop()
    wait = wait or QueueTimer()
    begun = loop.time() - wait.so_far_s(loop.time())
    looking: asyncio.TimerHandle
    async with asyncio.timeout(None) as limit:

        def look() -> None:
            nonlocal looking
            now = loop.time()
            left_s = seconds - (now - wait.so_far_s(now) - begun)
            if left_s > 0:
                looking = loop.call_later(max(left_s, _MIN_CHECK_INTERVAL_S), look)
            else:
                limit.reschedule(now)

        looking = loop.call_later(seconds, look)
        try:
            yield
        finally:
            looking.cancel()
