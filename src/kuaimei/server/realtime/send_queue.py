"""Bounded queue of events for one client, from which a reply's audio can be removed."""

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
    """Events for the client, in order.

    Up to ``limit_chars`` may wait: a client that reads too slowly is disconnected, so that the queue does
    not grow without limit.

    Args:
        limit_chars: Maximum characters of JSON text.

    Attributes:
        overflowed: True once the limit was exceeded; nothing is queued any more.
    """

    def __init__(self, limit_chars: int) -> None:
        self._limit = limit_chars
        self._letters: deque[_QueuedEvent] = deque()
        self._size = 0
        self._filled = asyncio.Event()
        self.overflowed = False

    @property
    def size(self) -> int:
        """Characters in the queue."""
        return self._size

    def put(self, event: ServerEvent, *, audio_of: str | None = None) -> None:
        """Queue ``event``; ``audio_of`` is the id of the reply whose audio it carries."""
        if self.overflowed:
            return
        text = json.dumps({**event, "event_id": new_id("event")}, ensure_ascii=False, separators=(",", ":"))
        text = to_well_formed(text)  # a lone surrogate cannot be sent
        if self._size + len(text) > self._limit:
            self.overflowed = True
            self._letters.clear()
            self._size = 0
        else:
            self._letters.append(_QueuedEvent(text, audio_of))
            self._size += len(text)
        self._filled.set()

    def drop_audio(self, reply: str) -> None:
        """Remove the audio of ``reply``; all other events stay, in order."""
        self._letters = deque(letter for letter in self._letters if letter.audio_of != reply)
        self._size = sum(len(letter.text) for letter in self._letters)

    async def take(self) -> str | None:
        """Wait for the next event and return its text; None after an overflow."""
        while not self._letters:
            if self.overflowed:
                return None
            self._filled.clear()
            await self._filled.wait()
        letter = self._letters.popleft()
        self._size -= len(letter.text)
        return letter.text
