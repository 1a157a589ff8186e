"""Bounded, fair, deadline-aware queue in front of each engine.

A `Scheduler` grants ``capacity`` units (threads, or concurrent requests) to the requests that ask for
them. All engines that compute on this machine's cores share one scheduler, because two of them running
at once on the same cores take many times as long as one after the other; an engine on a GPU or on
another machine has its own scheduler.

Order: by priority; within a priority, sessions alternate; within a session, first come, first served.
A request that does not fit behind ``limit`` others, or whose deadline passes while it waits, fails with
`QueueFull`; if the queue is full of less important requests, the latest of the least important is
evicted. Work is not pre-empted; steps are short. Long work registers a ``give_way`` callback.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from kuaimei.engines.types import Priority, Ticket
from kuaimei.errors import QueueFull

__all__ = ["Scheduler"]


@dataclass(slots=True, eq=False)
class _Waiting:
    ticket: Ticket
    units: int
    arrival: int
    granted: asyncio.Future[None] = field(repr=False)


class Scheduler:
    """Grants ``capacity`` units fairly; see the module docstring for the order.

    Args:
        name: Name of the engine or resource, for messages and metrics.
        capacity: Units that may be granted at once.
        limit: Requests that may wait; one more is refused.
        reserved: Units never granted to background requests, so that a live request finds them free
            regardless of the background load.
    """

    def __init__(self, name: str, capacity: int = 1, *, limit: int = 64, reserved: int = 0) -> None:
        self.name = name
        self.capacity = capacity
        self.limit = limit
        self.reserved = min(reserved, capacity - 1)
        self._free = capacity
        self._waiting: list[_Waiting] = []
        self._arrivals = count()
        self._grants = count()
        self._served: dict[str, int] = {}  # session -> number of its latest grant
        self._yielding: dict[object, tuple[Ticket, Callable[[], None]]] = {}

    @property
    def depth(self) -> int:
        """Number of requests that are waiting."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """Number of units granted now."""
        return self.capacity - self._free

    @asynccontextmanager
    async def acquire(
        self, ticket: Ticket, units: int = 1, *, give_way: Callable[[], None] | None = None
    ) -> AsyncIterator[None]:
        """Hold ``units`` (at most the capacity without the reserve) for the duration of the block.

        Args:
            ticket: Session, priority and deadline of the request.
            units: Units to hold.
            give_way: Called once when a more important request has to wait; the block should then end soon.

        Raises:
            QueueFull: If too many equally important requests wait, or the ticket's deadline passes first.
        """
        # A request for more units than can ever be free would wait forever.
        units = min(units, self.capacity - self.reserved)
        await self._acquire(ticket, units)
        holding = object()
        if give_way is not None:
            self._yielding[holding] = ticket, give_way
        try:
            yield
        finally:
            self._yielding.pop(holding, None)
            self._free += units
            self._grant()

    async def _acquire(self, ticket: Ticket, units: int) -> None:
        if len(self._waiting) >= self.limit:
            self._evict_waiter(ticket)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(ticket, units, next(self._arrivals), loop.create_future())
        self._waiting.append(waiting)
        self._grant()
        try:
            if waiting.granted.done():
                return
            self._request_preemption(ticket)
            if ticket.wait is not None:
                ticket.wait.begin(loop.time())
            try:
                async with asyncio.timeout_at(ticket.deadline):
                    await waiting.granted
            finally:
                if ticket.wait is not None:
                    ticket.wait.end(loop.time())
        except TimeoutError:
            self._withdraw(waiting)
            raise QueueFull(f"{self.name}: the request's deadline passed while it was queued") from None
        except asyncio.CancelledError:
            self._withdraw(waiting)
            raise

    def _request_preemption(self, ticket: Ticket) -> None:
        """Ask less important holders that registered ``give_way`` to end."""
        for holding, (theirs, give_way) in tuple(self._yielding.items()):
            if theirs.rank > ticket.rank:
                del self._yielding[holding]
                give_way()

    def _evict_waiter(self, ticket: Ticket) -> None:
        refusal = QueueFull(f"{self.name}: {self.limit} requests are already waiting; try again later")
        last = max(self._waiting, key=lambda w: (w.ticket.rank, w.arrival), default=None)
        if last is None or last.ticket.rank <= ticket.rank:
            raise refusal
        self._waiting.remove(last)
        if not last.granted.done():
            last.granted.set_exception(refusal)

    def _withdraw(self, waiting: _Waiting) -> None:
        granted = waiting.granted
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        elif granted.done() and not granted.cancelled() and granted.exception() is None:
            self._free += waiting.units  # granted at the moment it was withdrawn
        self._grant()

    def _grant(self) -> None:
        while self._waiting:
            first = min(
                self._waiting,
                key=lambda w: (w.ticket.rank, self._served.get(w.ticket.session, -1), w.arrival),
            )
            kept = self.reserved if first.ticket.rank is Priority.BACKGROUND else 0
            if first.units > self._free - kept:
                return  # smaller requests do not overtake the first in line
            self._waiting.remove(first)
            if first.granted.done():
                continue
            self._free -= first.units
            self._served.pop(first.ticket.session, None)
            self._served[first.ticket.session] = next(self._grants)
            if len(self._served) > 4 * self.limit:  # forget the session that was served longest ago
                self._served.pop(next(iter(self._served)))
            first.granted.set_result(None)
