"""What comes over a WebSocket after its goodbye is no error of the server."""

import asyncio
from typing import Any

import pytest
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from kuaimei.http.connection_limits import ConnectionRegistry
from kuaimei.http.uvicorn_http import HttpConfig
from kuaimei.http.uvicorn_websocket import CountedWebSocket
from tests.unit.http.test_uvicorn_http import FakeTransport


async def _listens(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _leaves(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 1000})


def send(client: ClientProtocol, frame: str) -> None:
    match frame:
        case "ping":
            client.send_ping(b"still there?")
        case "text":
            client.send_text(b"{}")
        case "no text":
            client.send_text(b"\xff\xfe")
        case "binary":
            client.send_binary(b"x")
        case "goodbye":
            client.send_close(1000)


@pytest.mark.parametrize("app", [_listens, _leaves])
@pytest.mark.parametrize("second", ["ping", "text", "no text", "binary", "goodbye"])
@pytest.mark.parametrize("first", ["ping", "text", "no text", "binary"])
async def test_what_comes_after_the_end_is_no_error(app: Any, first: str, second: str) -> None:
    """Two frames at once; the first may be the end of the connection, if that has not come already."""
    config = HttpConfig(app, ConnectionRegistry(10, 10), ws=CountedWebSocket, lifespan="off")
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
    for _ in range(5):
        await asyncio.sleep(0)
    head, end, _ = bytes(transport.sent).partition(b"\r\n\r\n")
    client.receive_data(head + end)  # the goodbye is not read yet
    send(client, first)
    send(client, second)
    protocol.data_received(b"".join(client.data_to_send()))
    transport.abort()
    await asyncio.gather(*state.tasks)
    assert left == [True]
