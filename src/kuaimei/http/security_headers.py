"""What every answer says to the browser that gets it."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SafeHeaders"]

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PRIVATE: Final = ("/api/", "/v1/", "/metrics")
"""What lies below is somebody's own: no browser and no proxy keeps it."""


class SafeHeaders:
    """Adds to every answer, refusals included, that it is what it says and for whoever asked.

    Where an answer says itself how it may be kept (``no-cache``: only to be asked for again), that stands.

    Args:
        app: What lies behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass through."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        private = scope["path"].startswith(_PRIVATE)

        async def marked(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
                if private:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, marked)
