"""Cancellation of work whose client has disconnected, and of work that takes too long."""

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
"""Maximum seconds for a download that needs no computation: months of recordings on a slow line."""
TOTAL_S: Final = 900.0
"""Default maximum seconds for a request, waiting and computing included."""


async def attended(request: Request, work: Coroutine[Any, Any, T], *, total_s: float = TOTAL_S) -> T:
    """Run ``work`` while the client is connected; the framework does not cancel it on a disconnect.

    Args:
        request: Its body must have been read.
        work: Cancelled when the client disconnects or the time is over.
        total_s: Maximum seconds.

    Raises:
        ApiError: 499 (which nobody reads) if the client has disconnected.
        EngineUnavailable: If the time is over.
    """
    working = asyncio.ensure_future(work)
    going = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait((working, going), timeout=total_s, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if going.done():
            raise ApiError("the client has disconnected", status=499, code="client_closed_request")
        raise EngineUnavailable(f"the request did not finish within {total_s:g} s; request less at once")
    finally:
        for task in (working, going):
            task.cancel()
        await asyncio.gather(working, going, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Streamed(StreamingResponse):
    """A response whose content is produced while it is sent, with a time limit.

    Args:
        content: Bytes or text of the response.
        total_s: Maximum seconds.
        place: Closed when the response is over.
        more: Arguments of `StreamingResponse`.
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
        """Send the response and close its content in any case, so that the engine stops."""
        try:
            async with asyncio.timeout(self._total_s):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            return  # cut off: the client notices the missing end
        finally:
            close = getattr(self.body_iterator, "aclose", None)
            if close is not None:
                await close()
            if self._place is not None:
                await self._place.aclose()
