"""Serving the application with uvicorn, with the bounds that the realtime protocol needs."""

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
"""Patience with requests in work when the server stops; conversations end at once."""


def make_server(app: ASGIApp, settings: ServerSettings, tls: ssl.SSLContext | None = None) -> uvicorn.Server:
    """A server for ``app``; ``await server.serve()`` runs it until it is told to stop.

    Args:
        app: What is served.
        settings: Where it listens.
        tls: With the certificate it shows; None: plain HTTP.
    """
    config = HttpConfig(
        app,
        connection_registry(settings),
        ws=CountedWebSocket,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        # Whoever opens the door opens and closes what is behind it.
        lifespan="off" if isinstance(app, StartupApp) else "auto",
        server_header=False,
        # Who is at the other end decides whose word is believed: no header may change that.
        proxy_headers=False,
        # A client event over the protocol's limit is answered with an error; this far beyond it the
        # connection ends.
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
