"""What comes over a WebSocket after its goodbye is no error of the server."""

import asyncio
from typing import Any

import pytest
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from kuaimei.server.connections import ConnectionRegistry
from kuaimei.server.http import HttpConfig
from kuaimei.server.websocket import CountedWebSocket
from tests.unit.server.test_http import FakeTransport


async def _accepts(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 1000})


@pytest.mark.parametrize("frame", ["ping", "text", "no text", "binary"])
async def test_what_comes_after_the_goodbye_is_no_error(frame: str) -> None:
    config = HttpConfig(_accepts, ConnectionRegistry(10, 10), ws=CountedWebSocket, lifespan="off")
    config.load()
    state = ServerState()
    protocol = CountedWebSocket(config, state, {})
    transport = FakeTransport()
    transport.protocol = protocol
    left: list[bool] = []
    protocol.leave = lambda: left.append(True)
    protocol.connection_made(transport)
    client = ClientProtocol(parse_uri("ws://x/"))
    client.send_request(client.connect())
    protocol.data_received(b"".join(client.data_to_send()))
    await asyncio.gather(*state.tasks)
    client.receive_data(bytes(transport.sent).partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    match frame:  # the goodbye is not read yet
        case "ping":
            client.send_ping(b"still there?")
        case "text":
            client.send_text(b"{}")
        case "no text":
            client.send_text(b"\xff\xfe")
        case "binary":
            client.send_binary(b"x")
    protocol.data_received(b"".join(client.data_to_send()))
    transport.abort()
    assert left == [True]
