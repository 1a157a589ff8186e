"""CPU work off the event loop, on cores lent by a lane."""

import asyncio
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Ticket

__all__ = ["run_on_cores"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def run_on_cores(
    scheduler: Scheduler,
    ticket: Ticket,
    units: int,
    function: Callable[[*Ts], T],
    *args: *Ts,
    give_way: Callable[[], None] | None = None,
) -> T:
    """Run ``function(*args)`` in a thread while holding ``units`` of ``lane``.

    ``give_way`` is called when a more important request has to wait: ``function`` should end soon.

    Cancelling lets the caller go at once; a thread cannot be stopped, so the units stay lent until it
    has finished, and nobody computes on cores that are not free.

    Raises:
        QueueFull: If there was no place or time for it.
    """
    begun = False

    async def run() -> T:
        nonlocal begun
        async with scheduler.acquire(ticket, units, give_way=give_way):
            begun = True
            return await asyncio.get_running_loop().run_in_executor(None, function, *args)

    task = asyncio.ensure_future(run())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if begun:
            task.add_done_callback(_consume_exception)
        else:
            task.cancel()
        raise


def _consume_exception(task: "asyncio.Task[T]") -> None:
    """Nobody waits for the result any more, nor for its failure."""
    if not task.cancelled():
        task.exception()
