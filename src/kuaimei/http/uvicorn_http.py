"""HTTP as uvicorn speaks it, with a bound on everything that somebody without a key could do to it."""

import asyncio
import logging
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kuaimei.http.connection_limits import ConnectionRegistry, Rarely

__all__ = ["BoundedHttp", "HttpConfig"]

_HEADERS_S: Final = 10.0
"""From the connection, or the first byte of a further request, to the end of its headers."""
_HEADERS_BYTES: Final = 32 * 1024
_HEADERS_COUNT: Final = 100
_PIPELINED: Final = 8
"""Requests that may be sent before the one in work is answered."""
_BODY_S: Final = 30.0
_BODY_BYTES_PER_S: Final = 32 * 1024
"""After the first `_BODY_S` a body must have come at this rate on average, unless nobody reads it."""
_TICK_S: Final = 5.0
_LINGER_S: Final = 5.0
"""So long a client may go on sending a body that was answered (refused) already."""
_STALL_S: Final = 60.0
"""A client that takes nothing of its answer for so long is gone."""


class HttpConfig(uvicorn.Config):
    """uvicorn's configuration, with what its connections share.

    Args:
        app: The application.
        registry: Of all connections.
        more: As uvicorn takes it.
    """

    def __init__(self, app: Any, registry: ConnectionRegistry, **more: Any) -> None:
        super().__init__(app, http=BoundedHttp, **more)
        self.registry = registry
        logger = logging.getLogger("uvicorn.error")
        if not any(isinstance(one, _OnceInAWhile) for one in logger.filters):
            logger.addFilter(_OnceInAWhile())


_NO_TEXT: Final = "Invalid UTF-8"
"""Of a WebSocket's frame; its client is told, and the connection ends."""


class _OnceInAWhile(logging.Filter):
    """Of what any stranger can cause as often as he likes one line in ten seconds is enough."""

    def __init__(self) -> None:
        super().__init__()
        self._rarely = Rarely(10.0)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.levelno > logging.WARNING and not record.getMessage().startswith(_NO_TEXT):
            return True
        record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        return self._rarely.ask() is not None


class _TooMuch(Exception):
    """More headers or requests at once than anybody needs; ends the connection with a 400."""


class BoundedHttp(HttpToolsProtocol):
    """One connection; bounded in the time and size of headers and in the time of bodies, both ways."""

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
        """Somebody is there."""
        super().connection_made(transport)
        if self._registry.enter(self, self.client[0] if self.client else ""):
            self._after("headers", _HEADERS_S, self._close)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.leave()
        super().connection_lost(exc)

    def leave(self) -> None:
        """It is counted no longer."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._registry.leave(self)

    def drop(self) -> None:
        """See `kuaimei.http.connection_limits.Connection`."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """More of it."""
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
        """It goes on as a WebSocket."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        super().handle_websocket_upgrade()
        # Whoever takes over must say when it is gone, see `kuaimei.http.uvicorn_websocket`.
        protocol: Any = self.transport.get_protocol()
        protocol.leave = self.leave

    # What the parser finds

    def on_header(self, name: bytes, value: bytes) -> None:
        """One more header."""
        if len(self.headers) >= _HEADERS_COUNT:
            raise _TooMuch
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Something is asked for."""
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
        """All of the body is there."""
        self._whole = True
        self._cancel("body")
        self._cancel("linger")
        super().on_message_complete()
        self._rest()

    def on_response_complete(self) -> None:
        """All of the answer is on its way."""
        super().on_response_complete()
        if not self._whole:
            self._cancel("body")
            self._after("linger", _LINGER_S, self._close)
        self._rest()

    def pause_writing(self) -> None:
        """The client does not take what it is sent."""
        super().pause_writing()
        self._after("stall", _STALL_S, self.drop)

    def resume_writing(self) -> None:
        """It does."""
        super().resume_writing()
        self._cancel("stall")

    def _rest(self) -> None:
        """Asked and answered: the next request, if there is one, begins anew."""
        answered = self.cycle is None or self.cycle.response_complete
        if self._whole and answered and not self.pipeline and self._asked:
            self._asked = False
            self._registry.answered(self)

    def _watch_body(self) -> None:
        self._timers.pop("body", None)
        if not self.flow.read_paused:  # else it is we who let it wait
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
