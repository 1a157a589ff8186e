"""How long an event loop keeps everybody waiting: a heartbeat of 10 ms, measured in the loop's own computing.

A busy machine makes any clock on the wall late, and a test that reads it fails for reasons of its own. What
is counted here is the time for which the loop's thread itself computed between two beats: the beat is due
each 10 ms, so anything beyond that is one step that did not let the others in.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

__all__ = ["BEAT_S", "Heartbeat", "heartbeat"]

BEAT_S: Final = 0.01


class Heartbeat:
    """What was measured so far.

    Attributes:
        beats: So many were counted.
        worst_ms: Longest computing of the loop's thread between two beats.
        worst_wall_ms: … and on the wall clock, for reports only.
    """

    def __init__(self) -> None:
        self.beats = 0
        self.worst_ms = 0.0
        self.worst_wall_ms = 0.0

    def reset(self) -> None:
        """Begin anew."""
        self.beats, self.worst_ms, self.worst_wall_ms = 0, 0.0, 0.0

    async def beat(self) -> None:
        """Beat until cancelled."""
        computed, wall = time.thread_time(), time.monotonic()
        while True:
            await asyncio.sleep(BEAT_S)
            now, at = time.thread_time(), time.monotonic()
            self.worst_ms = max(self.worst_ms, (now - computed) * 1000.0)
            self.worst_wall_ms = max(self.worst_wall_ms, (at - wall) * 1000.0)
            self.beats += 1
            computed, wall = now, at


@asynccontextmanager
async def heartbeat() -> AsyncIterator[Heartbeat]:
    """Measure the running loop for the length of the block."""
    found = Heartbeat()
    beating = asyncio.ensure_future(found.beat())
    await asyncio.sleep(0)
    try:
        yield found
        await asyncio.sleep(2 * BEAT_S)  # what was computed last counts too
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
