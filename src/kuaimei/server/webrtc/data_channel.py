"""The data channel ``oai-events`` as a transport of events."""

import asyncio
import json
import logging
from collections import deque
from contextlib import suppress

from aiortc import RTCDataChannel
from aiortc.exceptions import InvalidStateError

from kuaimei.server.realtime.protocol import ServerEvent, new_id
from kuaimei.server.realtime.transport import Disconnected
from kuaimei.text.wellformed import to_well_formed

__all__ = ["DataChannel"]

_log = logging.getLogger(__name__)

_INBOX_EVENTS = 512
_INBOX_CHARACTERS = 8 * 1024 * 1024
"""What may wait to be obeyed: a data channel cannot be read more slowly, so a flood ends the call."""
_HIGH_WATER = 1024 * 1024
_LOW_WATER = 128 * 1024
"""Bytes on their way to the client above which nothing more is sent, until it is below this."""


class DataChannel:
    """Events both ways, bounded both ways.

    Attributes:
        opened: The client's channel is there.
    """

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self._channel: RTCDataChannel | None = None
        self._inbox: deque[str | None] = deque()
        self._characters = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._gone = False

    def attach(self, channel: RTCDataChannel) -> None:
        """The client opened ``channel``; a second one is ignored."""
        if self._channel is not None:
            return
        self._channel = channel
        channel.bufferedAmountLowThreshold = _LOW_WATER
        channel.on("message", self._message)
        channel.on("bufferedamountlow", self._room.set)
        channel.on("close", self.on_closed)
        self.opened.set()

    def on_closed(self) -> None:
        """The client is gone."""
        self._gone = True
        for event in (self.opened, self._arrived, self._room):
            event.set()

    async def receive(self) -> str | None:
        """The next event's text; None for a binary message.

        Raises:
            Gone: If there will be none.
        """
        while not self._inbox:
            if self._gone:
                raise Disconnected
            self._arrived.clear()
            await self._arrived.wait()
        text = self._inbox.popleft()
        self._characters -= len(text or "")
        return text

    async def send(self, text: str) -> None:
        """Send an event, waiting while the client reads too slowly.

        Raises:
            Gone: If it cannot be sent any more.
        """
        while self._channel is not None and self._channel.bufferedAmount > _HIGH_WATER and not self._gone:
            self._room.clear()
            await self._room.wait()
        if self._gone or self._channel is None:
            raise Disconnected
        try:
            self._channel.send(text)
        except InvalidStateError:
            raise Disconnected from None
        except ValueError:  # larger than the client takes in one message
            _log.warning("an event of %d characters is too large for the client's data channel", len(text))

    async def drain_and_close(self, event: ServerEvent, patience_s: float) -> None:
        """Say a last word and wait until it is on its way."""
        with suppress(Disconnected, TimeoutError):
            async with asyncio.timeout(patience_s):
                text = json.dumps({**event, "event_id": new_id("event")}, ensure_ascii=False)
                await self.send(to_well_formed(text))
                if self._channel is not None:
                    self._channel.bufferedAmountLowThreshold = 0
                    while self._channel.bufferedAmount and not self._gone:
                        self._room.clear()
                        await self._room.wait()

    def _message(self, message: str | bytes) -> None:
        text = message if isinstance(message, str) else None
        self._characters += len(text or "")
        if len(self._inbox) >= _INBOX_EVENTS or self._characters > _INBOX_CHARACTERS:
            _log.warning("a client sends events faster than they can be obeyed; its call ends")
            self.on_closed()
            return
        self._inbox.append(text)
        self._arrived.set()
