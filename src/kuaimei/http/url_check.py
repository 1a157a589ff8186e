"""Addresses that name nothing: a NUL in one is in no id, no name and no word that anybody looks for."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kuaimei.http.errors import error_body

__all__ = ["PlainAddress"]

_TOLD = "the address of the request holds a NUL character, which is no text"


class PlainAddress:
    """Refuses requests with a NUL in their path or query; other bytes that are no text were replaced already.

    Args:
        app: What lies behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through or refuse."""
        if scope["type"] != "http" or not ("\x00" in scope["path"] or _has_nul(scope["query_string"])):
            await self._app(scope, receive, send)
            return
        refusal = JSONResponse(error_body(_TOLD, 400, code="invalid_text"), 400)
        await refusal(scope, receive, send)


def _has_nul(query: bytes) -> bool:
    return b"%00" in query or b"\x00" in query
