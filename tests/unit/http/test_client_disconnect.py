import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from kuaimei.errors import EngineUnavailable
from kuaimei.http.client_disconnect import Streamed, attended
from kuaimei.http.errors import ApiError
from tests.support.virtual_time import START, virtually

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"spec_version": "2.3"}}


class Client:
    """Goes when it is told to; notes what it is sent."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.sent: list[bytes] = []

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message.get("body", b""))

    @property
    def request(self) -> Request:
        return Request(SCOPE, self.receive)


async def slowly(seconds: float, ended: list[str]) -> str:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        ended.append("cancelled")
        raise
    return "done"


@virtually
async def test_work_is_done_while_the_client_is_there() -> None:
    client, ended = Client(), list[str]()
    assert await attended(client.request, slowly(5.0, ended)) == "done"
    with pytest.raises(EngineUnavailable, match="within 2 s"):
        await attended(client.request, slowly(5.0, ended), total_s=2.0)
    assert ended == ["cancelled"]
    asyncio.get_running_loop().call_later(1.0, client.gone.set)
    with pytest.raises(ApiError) as gone:
        await attended(client.request, slowly(5.0, ended))
    assert gone.value.status == 499
    assert ended == ["cancelled"] * 2
    assert asyncio.get_running_loop().time() == pytest.approx(START + 8.0)


@virtually
async def test_who_asked_is_cancelled_with_the_work() -> None:
    client, ended = Client(), list[str]()
    task = asyncio.ensure_future(attended(client.request, slowly(5.0, ended)))
    await asyncio.sleep(1.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert ended == ["cancelled"]


class Stream:
    """Gives a piece each second; notes that it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                await asyncio.sleep(1.0)
                yield b"x"
        finally:
            self.closed = True


@virtually
async def test_a_stream_ends_with_its_client_and_with_its_time() -> None:
    for total_s, leaves_s, pieces in ((100.0, 5.5, 5), (3.5, 100.0, 3)):
        client, stream = Client(), Stream()
        leaving = asyncio.get_running_loop().call_later(leaves_s, client.gone.set)
        answer = Streamed(stream(), total_s=total_s)
        await answer(SCOPE, client.receive, client.send)
        leaving.cancel()
        assert stream.closed
        assert client.sent.count(b"x") == pieces
