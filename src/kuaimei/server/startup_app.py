"""ASGI app served during start-up: page, ``/healthz``, ``/readyz`` and progress; all else returns 503."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kuaimei import __version__
from kuaimei.http.errors import error_body
from kuaimei.http.refusals import Refusals
from kuaimei.http.security import AuthMiddleware
from kuaimei.http.security_headers import SafeHeaders
from kuaimei.people.authentication import Authentication
from kuaimei.server.gc_freeze import freeze_heap
from kuaimei.server.static_page import Page
from kuaimei.settings import Settings

__all__ = ["StartupApp"]

_LOADING_MESSAGE = "the models are still being loaded; try again in a moment"


class StartupApp:
    """ASGI application that can be served before the runtime is open.

    Until `opened` it serves the page, ``/healthz`` and ``/api/status`` (``loading`` with its progress);
    everything else is 503. Then it delegates to the application passed to `opened`::

        startup = StartupApp(settings, expecting=roles)
        serving = asyncio.create_task(make_server(startup, settings.server).serve())
        async with open_runtime(settings, progress=startup.progress) as runtime:
            async with startup.opened(create_app(runtime)):
                await serving

    Args:
        settings: Settings of the server; access rules are the same before and after.
        expecting: Names that `progress` will be called with.
        authentication: Authenticates callers; None: only the configured key is accepted.
        refusals: Counts and logs refused requests; None: a new one.
    """

    def __init__(
        self,
        settings: Settings,
        expecting: Sequence[str] = (),
        *,
        authentication: Authentication | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._expecting = tuple(expecting)
        self._ready: list[str] = []
        self._page = Page()
        routes = [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/api/status", self._status),
            Route("/{path:path}", self._rest, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
        ]
        loading = Starlette(routes=routes)

        async def behind(scope: Scope, receive: Receive, send: Send) -> None:
            """Answer requests that were let through."""
            await (self._refuse if scope["type"] == "websocket" else loading)(scope, receive, send)

        guard = AuthMiddleware(
            behind,
            settings.server,
            self._page.paths,
            authentication=authentication,
            refusals=refusals,
            loading=True,
        )
        self._loading: ASGIApp = SafeHeaders(guard)
        self._app: ASGIApp | None = None

    def progress(self, name: str) -> None:
        """Record that ``name`` is ready."""
        self._ready.append(name)

    @asynccontextmanager
    async def opened(self, app: FastAPI) -> AsyncIterator[None]:
        """Delegate to ``app`` for the length of the block."""
        freeze_heap()
        async with app.router.lifespan_context(app):
            self._app = app
            try:
                yield
            finally:
                self._app = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Delegate to the application, or answer that it is loading."""
        if scope["type"] == "lifespan" or self._app is None:
            await self._loading(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1013, "reason": _LOADING_MESSAGE})

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _readyz(self, request: Request) -> Response:
        return JSONResponse({"status": "not ready", "checks": {"engines": "loading"}}, 503)

    async def _status(self, request: Request) -> Response:
        done = [name for name in self._ready if name in self._expecting]
        progress = len(done) / len(self._expecting) if self._expecting else None
        body = {
            "object": "kuaimei.status",
            "status": "loading",
            "version": __version__,
            "progress": progress,
            "ready": self._ready,
            "loading": [name for name in self._expecting if name not in self._ready],
        }
        return JSONResponse(body)

    async def _rest(self, request: Request) -> Response:
        if request.method in {"GET", "HEAD"} and request.url.path in self._page.paths:
            return self._page.response(request)
        return JSONResponse(error_body(_LOADING_MESSAGE, 503, code="loading"), 503, {"Retry-After": "2"})
