"""Run CPU-bound functions off the event loop while holding units of a `Scheduler`."""

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
    """Run ``function(*args)`` in a thread while holding ``units`` of ``scheduler``.

    If the caller is cancelled, it returns at once; a thread cannot be stopped, so the units stay held
    until it has finished, and no other request computes on cores that are still busy.

    Args:
        scheduler: Queue of the resource that ``function`` uses.
        ticket: The request's place in that queue.
        units: Threads that ``function`` occupies.
        function: Blocking function.
        *args: Its arguments.
        give_way: Called when a more important request has to wait; ``function`` should then end soon.

    Raises:
        QueueFull: If the queue was full, or the ticket's deadline passed while it waited.
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
    """Retrieve the exception of an abandoned task, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
