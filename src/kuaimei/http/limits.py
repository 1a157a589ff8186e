"""ASGI limits on the size of request bodies and on the number of concurrent requests."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kuaimei.errors import QueueFull
from kuaimei.http.errors import error_body
from kuaimei.http.json_limits import MOST_MARKS, marks_in

__all__ = ["BodyLimit", "ConcurrencyLimiter", "UploadGate"]

_JSON_LIMIT = 2 * 1024 * 1024
"""Maximum size in bytes of a body on paths that take no files."""
_FORM = b"multipart/"
_TOO_MANY = f"the JSON of the request contains more than {MOST_MARKS} values"
_DRAIN_S = 5.0


class BodyLimit:
    """Rejects bodies that are too large (announced or received) or whose JSON has too many values.

    Args:
        app: The wrapped ASGI application.
        files: Paths that take files, with the maximum size of a body in bytes; elsewhere it is 2 MiB.
    """

    def __init__(self, app: ASGIApp, files: Mapping[str, int]) -> None:
        self._app = app
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or reject it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._files.get(scope["path"], _JSON_LIMIT)
        announced = next((v for k, v in scope["headers"] if k == b"content-length"), b"")
        if announced.isdigit() and int(announced) > limit:
            await _drain(receive)
            # The body may not have been read to its end, so the connection cannot be used again.
            body = error_body(_too_large_message(limit), 413, code="content_too_large")
            await JSONResponse(body, 413, {"Connection": "close"})(scope, receive, send)
            return
        received = marks = 0
        form = any(k == b"content-type" and v.lower().startswith(_FORM) for k, v in scope["headers"])

        async def counted() -> Message:
            nonlocal received, marks
            message = await receive()
            body = message.get("body", b"")
            received += len(body)
            marks += 0 if form else marks_in(body)
            if received > limit or marks > MOST_MARKS:
                if message.get("more_body", False):
                    await _drain(receive)
                raise HTTPException(413, _too_large_message(limit) if received > limit else _TOO_MANY)
            return message

        await self._app(scope, counted, send)


async def _drain(receive: Receive) -> None:
    """Read and discard the rest of the body, for a while: most clients read only after sending everything."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                pass


def _too_large_message(limit: int) -> str:
    return f"the request is larger than the {limit / 1024**2:g} MiB allowed"


class ConcurrencyLimiter:
    """Limits requests that need much memory: a few run, some wait, further ones are refused.

    Args:
        name: What the requests do, for the error message.
        running: Requests that may run at once.
        waiting: Requests that may wait at once.
    """

    def __init__(self, name: str, running: int, waiting: int) -> None:
        self._name = name
        self._free = asyncio.Semaphore(running)
        self._places = running + waiting
        self._inside = 0

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Wait for a free slot and hold it for the length of the block.

        Raises:
            QueueFull: If too many wait already.
        """
        if self._inside >= self._places:
            raise QueueFull(f"{self._name}: {self._places} requests are already in progress; try again later")
        self._inside += 1
        try:
            async with self._free:
                yield
        finally:
            self._inside -= 1


class UploadGate:
    """Limits concurrent uploads; waiting ones are not read, so they take neither memory nor disk.

    A slot is held until the response begins: by then the file was decoded, or waits for a decoder, which is
    limited separately.

    Args:
        app: The wrapped ASGI application.
        gates: Limiters by path; they apply to POST only.
        until_read: Release the slot once the whole body was read: ``app`` orders the requests itself.
    """

    def __init__(
        self, app: ASGIApp, gates: Mapping[str, ConcurrencyLimiter], *, until_read: bool = False
    ) -> None:
        self._app = app
        self._gates = gates
        self._until_read = until_read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, waiting for a slot if needed, or reject it."""
        gate = self._gates.get(scope.get("path", "")) if scope["type"] == "http" else None
        if gate is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        async with AsyncExitStack() as place:
            try:
                await place.enter_async_context(gate.enter())
            except QueueFull as full:
                await _drain(receive)
                body = error_body(str(full), 503, code=QueueFull.kind)
                busy = JSONResponse(body, 503, {"Retry-After": "5", "Connection": "close"})
                await busy(scope, receive, send)
                return

            async def answered(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await place.aclose()
                await send(message)

            async def read() -> Message:
                message = await receive()
                if self._until_read and not message.get("more_body", False):
                    await place.aclose()
                return message

            await self._app(scope, read, answered)
