"""The uvicorn server, configured with the limits that the realtime protocol needs."""

import ssl

import uvicorn
from starlette.types import ASGIApp

from kuaimei.http.bind import ManagedServer
from kuaimei.http.connection_limits import connection_registry
from kuaimei.http.uvicorn_http import HttpConfig
from kuaimei.http.uvicorn_websocket import CountedWebSocket
from kuaimei.server.realtime.loops import FRAME_LIMIT
from kuaimei.server.startup_app import StartupApp
from kuaimei.settings import ServerSettings

__all__ = ["make_server"]

_SHUTDOWN_S = 1
"""Seconds that requests in progress may take when the server stops; conversations end at once."""


def make_server(app: ASGIApp, settings: ServerSettings, tls: ssl.SSLContext | None = None) -> uvicorn.Server:
    """Return a server for ``app``; ``await server.serve()`` runs it until it is told to stop.

    Args:
        app: The application to serve.
        settings: Address and limits.
        tls: Context with the server's certificate; None: plain HTTP.
    """
    config = HttpConfig(
        app,
        connection_registry(settings),
        ws=CountedWebSocket,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        # A `StartupApp` runs the lifespan of the application that it hands over to itself.
        lifespan="off" if isinstance(app, StartupApp) else "auto",
        server_header=False,
        # The peer's address decides whether its headers are trusted: no header may change it.
        proxy_headers=False,
        # A client event over the protocol's limit is answered with an error; one this far beyond it ends
        # the connection.
        ws_max_size=4 * FRAME_LIMIT,
        ws_ping_interval=20.0,
        # A client that sends a long recording at once is read slowly, its pongs too.
        ws_ping_timeout=60.0,
        # base64 of noise does not compress.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )
    return ManagedServer(config)
