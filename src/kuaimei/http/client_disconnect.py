"""Work is done for somebody: it ends when they have gone, and when it has taken too long."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from kuaimei.errors import EngineUnavailable
from kuaimei.http.errors import ApiError

__all__ = ["DOWNLOAD_S", "TOTAL_S", "Streamed", "attended"]

T = TypeVar("T")

DOWNLOAD_S: Final = 12 * 3600.0
"""What is only read and sent may take so long: recordings of months, over a slow line."""
TOTAL_S: Final = 900.0
"""A request may take so long in all, waiting and computing, unless it says otherwise."""


async def attended(request: Request, work: Coroutine[Any, Any, T], *, total_s: float = TOTAL_S) -> T:
    """Do ``work`` while the client is there; nobody else cancels what a client has asked for.

    Args:
        request: Its body must have been read.
        work: Cancelled when the client has gone or the time is over.
        total_s: It may take so long.

    Raises:
        ApiError: 499, which nobody reads, if the client has gone.
        EngineUnavailable: If the time is over.
    """
    working = asyncio.ensure_future(work)
    going = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait((working, going), timeout=total_s, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if going.done():
            raise ApiError("the client has gone", status=499, code="client_closed_request")
        raise EngineUnavailable(f"the request was not done within {total_s:g} s; ask for less at once")
    finally:
        for task in (working, going):
            task.cancel()
        await asyncio.gather(working, going, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Streamed(StreamingResponse):
    """An answer that is made while it is sent, and not a moment longer.

    Args:
        content: Its bytes or text.
        total_s: It may take so long.
        place: Left when it is over.
        more: Of every answer.
    """

    def __init__(
        self,
        content: AsyncIterator[str | bytes],
        *,
        total_s: float = TOTAL_S,
        place: AsyncExitStack | None = None,
        **more: Any,
    ) -> None:
        super().__init__(content, **more)
        self._total_s = total_s
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; the stream is closed whatever happens, so that its engine stops."""
        try:
            async with asyncio.timeout(self._total_s):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            return  # cut off: a client can tell that the end is missing
        finally:
            close = getattr(self.body_iterator, "aclose", None)
            if close is not None:
                await close()
            if self._place is not None:
                await self._place.aclose()
