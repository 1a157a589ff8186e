"""The endpoint ``/v1/realtime`` over WebSocket."""

import asyncio
from contextlib import ExitStack, suppress
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.websockets import WebSocket, WebSocketDisconnect

from kuaimei.errors import KuaimeiError
from kuaimei.server.realtime.connections import ConnectionManager, ConnectionRefused, ConnectRequest
from kuaimei.server.realtime.playback import EventPlayback, Playback
from kuaimei.server.realtime.protocol import ProtocolError, ServerEvent, error_event, new_id
from kuaimei.server.realtime.send_queue import SendQueue
from kuaimei.server.realtime.transport import AudioSink, Client, CloseReason, Disconnected

__all__ = ["router"]

router = APIRouter()

_CLOSE_S = 2.0
"""Seconds to wait for a client when closing."""


class _Socket:
    """A WebSocket as a `kuaimei.server.realtime.transport.Transport`: audio travels in the events."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def receive(self) -> str | None:
        """Return the text of the next client event; None for a binary frame."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise Disconnected
        text: str | None = message.get("text")
        return text

    async def send(self, text: str) -> None:
        """Send an event, waiting for the socket."""
        try:
            await self._socket.send_text(text)
        except (WebSocketDisconnect, RuntimeError, OSError):
            raise Disconnected from None

    def playback(self, outbox: SendQueue) -> Playback:
        """Return a playback that sends audio in events."""
        return EventPlayback(outbox)

    def attach(self, conversation: AudioSink) -> None:
        """Do nothing: no audio travels beside the events."""


@router.websocket("/v1/realtime")
async def realtime(
    socket: WebSocket,
    model: Annotated[str, Query()] = "",
    session: Annotated[str, Query()] = "",
    takeover: Annotated[bool, Query()] = False,
    person: Annotated[str, Query()] = "",
) -> None:
    """Hold a spoken conversation in the OpenAI Realtime protocol.

    Args:
        socket: The client's connection.
        model: A name from ``/v1/models``; empty: the server's own.
        session: Id of an earlier session to continue (also as header ``x-kuaimei-session``).
        takeover: End another connection that has the session: for clients that lost theirs.
        person: The speaker, by an id of the client's own, see `ConnectRequest.person`.
    """
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol="realtime" if "realtime" in offered else None)
    connections: ConnectionManager = socket.app.state.connections
    client = Client(socket.state.caller, socket.headers.get("user-agent", "")[:200], "websocket")
    wish = ConnectRequest(model, session or socket.headers.get("x-kuaimei-session", ""), takeover, person)
    with ExitStack() as places:
        try:
            visit = await connections.admit(places, client, wish)
            goodbye = await connections.serve(visit, _Socket(socket))
        except ConnectionRefused as turned:
            goodbye = CloseReason(turned.close, str(turned), turned.code)
        except KuaimeiError as error:
            await _send(socket, error_event(error))
            goodbye = CloseReason(1011, str(error))
        # The slot is released only after the close reason was sent.
        if goodbye is not None:
            if goodbye.error:
                await _send(
                    socket, error_event(ProtocolError(goodbye.told or goodbye.reason, code=goodbye.error))
                )
            await _close(socket, goodbye)


async def _send(socket: WebSocket, event: ServerEvent) -> None:
    with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await socket.send_json({**event, "event_id": new_id("event")})


async def _close(socket: WebSocket, goodbye: CloseReason) -> None:
    reason = goodbye.reason.encode()[:120].decode(errors="ignore")  # the protocol allows 123 bytes
    with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await socket.close(goodbye.code, reason)
