"""uvicorn's HTTP protocol with limits on everything that an unauthenticated client can do to it."""

import asyncio
import logging
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kuaimei.http.connection_limits import ConnectionRegistry, Rarely

__all__ = ["BoundedHttp", "HttpConfig"]

_HEADERS_S: Final = 10.0
"""Seconds from the connection, or the first byte of a further request, to the end of its headers."""
_HEADERS_BYTES: Final = 32 * 1024
_HEADERS_COUNT: Final = 100
_PIPELINED: Final = 8
"""Requests that may be sent before the current one is answered."""
_BODY_S: Final = 30.0
_BODY_BYTES_PER_S: Final = 32 * 1024
"""Average rate that a body must keep after its first `_BODY_S` seconds; pauses in reading do not count."""
_TICK_S: Final = 5.0
_LINGER_S: Final = 5.0
"""Seconds that a client may go on sending a body that was answered (refused) already."""
_STALL_S: Final = 60.0
"""Seconds after which a client that reads nothing of its response is disconnected."""


class HttpConfig(uvicorn.Config):
    """uvicorn's configuration, with the registry that its connections share.

    Args:
        app: The application.
        registry: All connections.
        more: Arguments of `uvicorn.Config`.
    """

    def __init__(self, app: Any, registry: ConnectionRegistry, **more: Any) -> None:
        super().__init__(app, http=BoundedHttp, **more)
        self.registry = registry
        logger = logging.getLogger("uvicorn.error")
        if not any(isinstance(one, _OnceInAWhile) for one in logger.filters):
            logger.addFilter(_OnceInAWhile())


_NO_TEXT: Final = "Invalid UTF-8"
"""Logged for a malformed WebSocket frame; the client is told and the connection ends."""


class _OnceInAWhile(logging.Filter):
    """Limits log lines that any client can cause to one in ten seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._rarely = Rarely(10.0)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        if record.levelno > logging.WARNING and not record.getMessage().startswith(_NO_TEXT):
            return True
        record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        return self._rarely.ask() is not None


class _TooMuch(Exception):
    """Too many headers or pipelined requests; ends the connection with a 400."""


class BoundedHttp(HttpToolsProtocol):
    """One connection, with limits on time and size of headers and on the time of bodies, both ways."""

    def __init__(self, config: uvicorn.Config, *args: Any, **more: Any) -> None:
        super().__init__(config, *args, **more)
        self._registry = cast("HttpConfig", config).registry
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._header_bytes = 0
        self._asked = False  # the headers of a request are complete, and it is not answered yet
        self._whole = True  # … and so is its body
        self._received = 0
        self._reading_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register the connection; abort it if it is refused."""
        super().connection_made(transport)
        if self._registry.enter(self, self.client[0] if self.client else ""):
            self._after("headers", _HEADERS_S, self._close)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister the connection."""
        self.leave()
        super().connection_lost(exc)

    def leave(self) -> None:
        """Cancel the timers and unregister the connection."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._registry.leave(self)

    def drop(self) -> None:
        """Abort the connection; see `kuaimei.http.connection_limits.TrackedConnection`."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Count the bytes and parse them; answer 400 if the headers are too long."""
        if self.transport.is_closing():
            return
        if not self._asked:
            self._header_bytes += len(data)
            if "headers" not in self._timers:
                self._after("headers", _HEADERS_S, self._close)
        else:
            self._received += len(data)
        super().data_received(data)
        if not self._asked and self._header_bytes > _HEADERS_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers of the request are too long.")

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the WebSocket protocol."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        super().handle_websocket_upgrade()
        # The new protocol unregisters the connection, see `kuaimei.http.uvicorn_websocket`.
        protocol: Any = self.transport.get_protocol()
        protocol.leave = self.leave

    # Parser callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        """Record a header, unless there are too many."""
        if len(self.headers) >= _HEADERS_COUNT:
            raise _TooMuch
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, unless too many are pipelined."""
        if len(self.pipeline) >= _PIPELINED:
            raise _TooMuch
        self._cancel("headers")
        self._header_bytes = 0
        self._asked, self._whole = True, False
        self._received, self._reading_s = 0, 0.0
        self._registry.asked(self)
        super().on_headers_complete()
        if not (self.parser.should_upgrade() and self._should_upgrade()):
            self._after("body", _TICK_S, self._watch_body)

    def on_message_complete(self) -> None:
        """End the time limits of the body."""
        self._whole = True
        self._cancel("body")
        self._cancel("linger")
        super().on_message_complete()
        self._rest()

    def on_response_complete(self) -> None:
        """Stop waiting for a body that is no longer needed, after `_LINGER_S`."""
        super().on_response_complete()
        if not self._whole:
            self._cancel("body")
            self._after("linger", _LINGER_S, self._close)
        self._rest()

    def pause_writing(self) -> None:
        """Drop the connection if the client does not read for `_STALL_S`."""
        super().pause_writing()
        self._after("stall", _STALL_S, self.drop)

    def resume_writing(self) -> None:
        """Cancel that time limit."""
        super().resume_writing()
        self._cancel("stall")

    def _rest(self) -> None:
        """Mark the connection as idle once body and response are complete and nothing is pipelined."""
        answered = self.cycle is None or self.cycle.response_complete
        if self._whole and answered and not self.pipeline and self._asked:
            self._asked = False
            self._registry.answered(self)

    def _watch_body(self) -> None:
        self._timers.pop("body", None)
        if not self.flow.read_paused:  # paused reading is the server's own delay
            self._reading_s += _TICK_S
        if self._received < (self._reading_s - _BODY_S) * _BODY_BYTES_PER_S:
            self._close()
        else:
            self._after("body", _TICK_S, self._watch_body)

    def _after(self, name: str, delay_s: float, act: Any) -> None:
        self._cancel(name)
        self._timers[name] = self.loop.call_later(delay_s, act)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
