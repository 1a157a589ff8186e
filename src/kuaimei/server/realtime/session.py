"""One client's connection: its events in, the conversation's events out, until either is over."""

import asyncio
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

from kuaimei.errors import KuaimeiError
from kuaimei.server.realtime.commands import Commands
from kuaimei.server.realtime.gateway import Gateway
from kuaimei.server.realtime.outbox import Outbox
from kuaimei.server.realtime.protocol import ProtocolError, error_event, parse

__all__ = ["FRAME_LIMIT", "OUTBOX_LIMIT", "Goodbye", "converse"]

FRAME_LIMIT = 2 * 1024 * 1024
"""Characters of one client event: half a minute of audio."""
OUTBOX_LIMIT = 8 * 1024 * 1024
"""Characters waiting for one client: two minutes of audio."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Why the server ends a connection: WebSocket close code and a short reason."""

    code: int
    reason: str


async def converse(
    socket: WebSocket, commands: Commands, gateway: Gateway, outbox: Outbox, idle_timeout_s: float
) -> Goodbye | None:
    """Talk to one client until it leaves or has to go.

    Returns:
        None if the client left by itself.
    """
    reading = asyncio.ensure_future(_read(socket, commands, gateway, idle_timeout_s))
    writing = asyncio.ensure_future(_write(socket, outbox))
    both = (reading, writing)
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _read(
    socket: WebSocket, commands: Commands, gateway: Gateway, idle_timeout_s: float
) -> Goodbye | None:
    while True:
        try:
            async with asyncio.timeout(idle_timeout_s):
                message = await socket.receive()
        except TimeoutError:
            return Goodbye(1000, f"nothing was received for {idle_timeout_s:g} s")
        if message["type"] == "websocket.disconnect":
            return None
        await _obey(message.get("text"), commands, gateway)


async def _obey(text: str | None, commands: Commands, gateway: Gateway) -> None:
    event_id: str | None = None
    try:
        if text is None:
            raise ProtocolError("events are sent as text frames", code="invalid_frame")
        if len(text) > FRAME_LIMIT:
            raise ProtocolError(
                f"an event has at most {FRAME_LIMIT} characters: send the audio in smaller pieces",
                code="event_too_large",
            )
        event = parse(text)
        event_id = event.event_id
        await commands.obey(event)
    except KuaimeiError as error:
        gateway.say(error_event(error, event_id))


async def _write(socket: WebSocket, outbox: Outbox) -> Goodbye | None:
    while (text := await outbox.take()) is not None:
        try:
            await socket.send_text(text)
        except (WebSocketDisconnect, RuntimeError, OSError):
            return None  # gone; the reader learns it too
    return Goodbye(1013, "events are read too slowly, and too many wait")
