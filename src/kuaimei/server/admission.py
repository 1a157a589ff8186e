"""Admission control: a limited number of active sessions and a queue with visible positions."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kuaimei.errors import QueueFull

__all__ = ["Admission", "QueueSlot", "SessionLease"]


class QueueSlot:
    """The position of one session: in the queue, or admitted.

    Attributes:
        number: Position in the queue, from 1; 0 once the session is admitted.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._moved = asyncio.Event()

    @property
    def admitted(self) -> bool:
        """True once the session has been admitted."""
        return self.number == 0

    async def wait_moved(self) -> None:
        """Wait until the position changes."""
        await self._moved.wait()
        self._moved.clear()

    def set_position(self, number: int) -> None:
        """Set the position, and wake `wait_moved` if it changed."""
        if number != self.number:
            self.number = number
            self._moved.set()


class SessionLease:
    """Ownership of a session by one connection.

    Attributes:
        lost: Set when another connection takes the session over: this one must end.
        over: Set when this connection has ended.
    """

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.over = asyncio.Event()


class Admission:
    """Admits sessions up to a capacity and queues further ones.

    Args:
        capacity: Sessions that may be active at once.
        waiting: Sessions that may queue; one more is refused.
        changed: Called with the number of active and of queued sessions at every change.

    Attributes:
        count: Active sessions.
    """

    def __init__(
        self,
        capacity: int,
        waiting: int = 0,
        changed: Callable[[int, int], None] = lambda count, waiting: None,
    ) -> None:
        self.capacity = capacity
        self.limit = waiting
        self.count = 0
        self._queue: list[QueueSlot] = []
        self._changed = changed
        self._claims: dict[str, SessionLease] = {}

    @property
    def waiting(self) -> int:
        """Number of queued sessions."""
        return len(self._queue)

    @contextmanager
    def enqueue(self, *, first: bool = False) -> Iterator[QueueSlot]:
        """Hold a slot for the length of the block: admitted if there is capacity, else queued.

        Args:
            first: Queue at the head: for a connection that takes over an active session.

        Raises:
            QueueFull: If the queue is full.
        """
        # Each active session can be taken over by one waiting connection, and by no more.
        limit = self.limit + (self.capacity if first else 0)
        if len(self._queue) >= limit and self.count >= self.capacity:
            raise QueueFull(f"all {self.capacity} sessions are in use; try again later")
        place = QueueSlot(len(self._queue) + 1)
        self._queue.insert(0 if first else len(self._queue), place)
        self._advance()
        try:
            yield place
        finally:
            if place.admitted:
                self.count -= 1
            else:
                self._queue.remove(place)
            self._advance()

    @contextmanager
    def claim(self, session: str) -> Iterator[SessionLease]:
        """Own ``session`` for the length of the block; its previous owner must have left."""
        claim = self._claims[session] = SessionLease()
        try:
            yield claim
        finally:
            claim.over.set()
            if self._claims.get(session) is claim:
                del self._claims[session]

    def lease_owner(self, session: str) -> SessionLease | None:
        """Return the lease of the connection that owns ``session``; None if none does."""
        return self._claims.get(session)

    def _advance(self) -> None:
        while self._queue and self.count < self.capacity:
            self.count += 1
            self._queue.pop(0).set_position(0)
        for number, place in enumerate(self._queue, 1):
            place.set_position(number)
        self._changed(self.count, len(self._queue))
