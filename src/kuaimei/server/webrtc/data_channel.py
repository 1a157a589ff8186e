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
"""Limits of received events that wait: a data channel cannot be read more slowly, so a flood ends the call.
"""
_HIGH_WATER = 1024 * 1024
_LOW_WATER = 128 * 1024
"""Bytes of send buffer: above the high mark sending waits until it is below the low mark."""


class DataChannel:
    """Events in both directions, with limits in both.

    Attributes:
        opened: Set once the client has opened the channel.
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
        """Use ``channel``, opened by the client; a second one is ignored."""
        if self._channel is not None:
            return
        self._channel = channel
        channel.bufferedAmountLowThreshold = _LOW_WATER
        channel.on("message", self._message)
        channel.on("bufferedamountlow", self._room.set)
        channel.on("close", self.on_closed)
        self.opened.set()

    def on_closed(self) -> None:
        """Mark the client as disconnected and wake all waiting tasks."""
        self._gone = True
        for event in (self.opened, self._arrived, self._room):
            event.set()

    async def receive(self) -> str | None:
        """Return the text of the next event; None for a binary message.

        Raises:
            Disconnected: If there will be none.
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
            Disconnected: If it can no longer be sent.
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
        except ValueError:  # larger than the client accepts in one message
            _log.warning("an event of %d characters is too large for the client's data channel", len(text))

    async def send_last(self, event: ServerEvent, patience_s: float) -> None:
        """Send a last event and wait up to ``patience_s`` until the send buffer is empty."""
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
            _log.warning("a client sends events faster than they can be processed; ending its call")
            self.on_closed()
            return
        self._inbox.append(text)
        self._arrived.set()
