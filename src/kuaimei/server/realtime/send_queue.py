"""What waits to be sent to one client: bounded, and rid of a reply's audio in an instant."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass

from kuaimei.server.realtime.protocol import ServerEvent, new_id
from kuaimei.text.wellformed import to_well_formed

__all__ = ["SendQueue"]


@dataclass(frozen=True, slots=True)
class _QueuedEvent:
    text: str
    audio_of: str | None


class SendQueue:
    """Events on their way to the client, in order.

    What cannot be sent waits here, up to ``limit_bytes``: a client that reads too slowly is given up
    rather than buffered for without end.

    Args:
        limit_bytes: Of JSON text waiting.

    Attributes:
        overflowed: The limit was passed; nothing is taken any more.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._letters: deque[_QueuedEvent] = deque()
        self._size = 0
        self._filled = asyncio.Event()
        self.overflowed = False

    @property
    def size(self) -> int:
        """Characters waiting."""
        return self._size

    def put(self, event: ServerEvent, *, audio_of: str | None = None) -> None:
        """Send ``event`` when its turn comes; ``audio_of`` is the reply whose audio it carries."""
        if self.overflowed:
            return
        text = json.dumps({**event, "event_id": new_id("event")}, ensure_ascii=False, separators=(",", ":"))
        text = to_well_formed(text)  # half a surrogate pair, wherever it came from, cannot be sent
        if self._size + len(text) > self._limit:
            self.overflowed = True
            self._letters.clear()
            self._size = 0
        else:
            self._letters.append(_QueuedEvent(text, audio_of))
            self._size += len(text)
        self._filled.set()

    def drop_audio(self, reply: str) -> None:
        """The audio of ``reply`` must not be heard any more; everything else stays, in order."""
        self._letters = deque(letter for letter in self._letters if letter.audio_of != reply)
        self._size = sum(len(letter.text) for letter in self._letters)

    async def take(self) -> str | None:
        """The next event's text, once there is one; None after an overflow."""
        while not self._letters:
            if self.overflowed:
                return None
            self._filled.clear()
            await self._filled.wait()
        letter = self._letters.popleft()
        self._size -= len(letter.text)
        return letter.text
