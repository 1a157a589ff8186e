"""Rejection of URLs with a NUL character: no valid id, name or search term has one."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kuaimei.http.errors import error_body

__all__ = ["PlainAddress"]

_TOLD = "the URL of the request contains a NUL character"


class PlainAddress:
    """Rejects requests with a NUL in path or query; other bytes that are not valid text were replaced before.

    Args:
        app: The wrapped ASGI application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or reject it."""
        if scope["type"] != "http" or not ("\x00" in scope["path"] or _has_nul(scope["query_string"])):
            await self._app(scope, receive, send)
            return
        refusal = JSONResponse(error_body(_TOLD, 400, code="invalid_text"), 400)
        await refusal(scope, receive, send)


def _has_nul(query: bytes) -> bool:
    return b"%00" in query or b"\x00" in query
