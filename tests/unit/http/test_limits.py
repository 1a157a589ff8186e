import asyncio

import pytest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kuaimei.errors import QueueFull
from kuaimei.http.limits import BodyLimit, ConcurrencyLimiter, UploadGate


async def test_some_run_some_wait_and_the_rest_is_refused() -> None:
    gate = ConcurrencyLimiter("work", running=1, waiting=1)
    go = asyncio.Event()
    running = 0

    async def work() -> None:
        nonlocal running
        async with gate.enter():
            running += 1
            await go.wait()
            running -= 1

    tasks = [asyncio.ensure_future(work()) for _ in range(2)]
    await asyncio.sleep(0)
    assert running == 1
    with pytest.raises(QueueFull, match="2 requests"):
        async with gate.enter():
            pass
    go.set()
    await asyncio.gather(*tasks)
    async with gate.enter():
        assert running == 0


class Upload:
    """A request with a body of two parts, and what came of it."""

    def __init__(self, app: ASGIApp, path: str = "/files") -> None:
        self.read = 0
        self.status = 0
        self.task = asyncio.ensure_future(app(_scope(path), self._receive, self._send))

    async def _receive(self) -> Message:
        self.read += 1
        return {"type": "http.request", "body": b"x", "more_body": self.read < 2}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]


def _scope(path: str) -> Scope:
    return {"type": "http", "method": "POST", "path": path, "headers": []}


class Work:
    """Reads the body, works until it may answer, and answers piece by piece until it may end."""

    def __init__(self) -> None:
        self.answer, self.end = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await self.answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await self.end.wait()
        await send({"type": "http.response.body", "body": b""})


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_of_uploads_that_wait_nothing_is_read() -> None:
    work = Work()
    gate = UploadGate(work, {"/files": ConcurrencyLimiter("uploads", running=1, waiting=1)})
    first, second, third, other = Upload(gate), Upload(gate), Upload(gate), Upload(gate, "/elsewhere")
    await settled()
    assert (first.read, second.read, other.read) == (2, 0, 2)
    assert third.status == 503
    work.answer.set()  # whoever reads the answer slowly keeps nobody
    await settled()
    assert (first.status, second.status) == (200, 200)
    work.end.set()
    await asyncio.gather(*(one.task for one in (first, second, third, other)))


async def test_a_place_until_all_is_read() -> None:
    work = Work()
    gate = UploadGate(work, {"/files": ConcurrencyLimiter("uploads", running=1, waiting=9)}, until_read=True)
    uploads = [Upload(gate) for _ in range(5)]
    await settled()
    await settled()
    assert [one.read for one in uploads] == [2] * 5
    work.answer.set()
    work.end.set()
    await asyncio.gather(*(one.task for one in uploads))


async def test_json_of_too_many_values_is_refused() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"[" + b"1," * 70_000 + b"1]", "more_body": False}

    async def send(message: Message) -> None:
        raise AssertionError

    limit = BodyLimit(app, {})
    with pytest.raises(HTTPException) as refused:
        await limit(_scope("/x"), receive, send)
    assert refused.value.status_code == 413
    await limit({**_scope("/x"), "headers": [(b"content-type", b"multipart/form-data")]}, receive, send)
