"""Who may talk now: so many sessions inside, some in a queue whose order everybody can see."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kuaimei.errors import QueueFull

__all__ = ["Admission", "QueueSlot", "SessionLease"]


class QueueSlot:
    """One session's place.

    Attributes:
        number: In the queue, from 1; 0 is inside.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._moved = asyncio.Event()

    @property
    def admitted(self) -> bool:
        """It may talk."""
        return self.number == 0

    async def wait_moved(self) -> None:
        """Wait until the number is another one."""
        await self._moved.wait()
        self._moved.clear()

    def set_position(self, number: int) -> None:
        """The queue has moved on."""
        if number != self.number:
            self.number = number
            self._moved.set()


class SessionLease:
    """That a session belongs to one connection.

    Attributes:
        lost: Somebody else is to have it: the connection must end.
        over: The connection has ended.
    """

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.over = asyncio.Event()


class Admission:
    """Sessions that talk at once, and those that wait until they may.

    Args:
        capacity: Sessions inside.
        waiting: Sessions in the queue; one more is turned away.
        changed: Told of the number inside and the number in the queue at every change.

    Attributes:
        count: Sessions inside now.
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
        """Sessions in the queue now."""
        return len(self._queue)

    @contextmanager
    def enqueue(self, *, first: bool = False) -> Iterator[QueueSlot]:
        """A place for the length of the block, inside if one is free, else in the queue.

        Args:
            first: At the head of the queue: for who takes over a session that is inside.

        Raises:
            QueueFull: If too many wait already.
        """
        # Each session inside can be taken over by one that waits, and by no more than that.
        limit = self.limit + (self.capacity if first else 0)
        if len(self._queue) >= limit and self.count >= self.capacity:
            raise QueueFull(f"all {self.capacity} places are taken; try again later")
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
        """The session belongs to whoever asks, for the length of the block; whoever has it must have left."""
        claim = self._claims[session] = SessionLease()
        try:
            yield claim
        finally:
            claim.over.set()
            if self._claims.get(session) is claim:
                del self._claims[session]

    def lease_owner(self, session: str) -> SessionLease | None:
        """Of whom the session is now."""
        return self._claims.get(session)

    def _advance(self) -> None:
        while self._queue and self.count < self.capacity:
            self.count += 1
            self._queue.pop(0).set_position(0)
        for number, place in enumerate(self._queue, 1):
            place.set_position(number)
        self._changed(self.count, len(self._queue))
