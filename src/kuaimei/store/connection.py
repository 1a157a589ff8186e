"""A PostgreSQL connection with deadlines for a server, or a network, that does not answer.

The server itself cancels statements that take too long. That does not help if the network is down: then this
side closes the socket, so that the waiting call gets an error and the pool makes a new connection.
"""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any, Final

import psycopg
from psycopg import Notify
from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = ["CONNECT_TIMEOUT_S", "DatabaseConnection", "patient", "with_deadlines"]

CONNECT_TIMEOUT_S: Final = 5
_CLIENT_MARGIN_S: Final = 5.0
"""The client waits so much longer than the server's deadline: an error sent by the server says more."""
_NETWORK_MS: Final = 20_000
_SOCKET: Final = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": _NETWORK_MS,
}
"""Socket options: a dead peer is noticed within a minute, unacknowledged data within 20 s."""


def with_deadlines(conninfo: str, timeout_s: float) -> str:
    """Add deadlines for the server's work to ``conninfo``.

    Args:
        conninfo: In libpq's form or as a URL; options it already has take precedence.
        timeout_s: Timeout of a statement, and of waiting for a lock; 0: none.

    Raises:
        psycopg.ProgrammingError: If ``conninfo`` cannot be parsed.
    """
    given = conninfo_to_dict(conninfo)
    server: Mapping[str, int] = {
        "statement_timeout": round(timeout_s * 1000),
        "lock_timeout": round(timeout_s * 1000),
        "idle_in_transaction_session_timeout": round(timeout_s * 2000),
        # Releases the locks of a client whose network is gone: by default only after two hours.
        "tcp_keepalives_idle": 30,
        "tcp_keepalives_interval": 10,
        "tcp_keepalives_count": 3,
    }
    options = " ".join(f"-c {name}={value}" for name, value in server.items())
    kept = str(given.get("options") or "")
    added = {name: value for name, value in _SOCKET.items() if name not in given}
    bounds: dict[str, str | int | None] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": "kuaimei",
        **added,
        "options": f"{options} {kept}".strip(),
    }
    return make_conninfo(conninfo, **bounds)


class DatabaseConnection(psycopg.AsyncConnection[Any]):
    """Connection that closes its socket when an answer does not arrive in time.

    Attributes:
        patience_s: Timeout of one answer; 0: none.
    """

    patience_s: float = 30.0 + _CLIENT_MARGIN_S
    _listening = False

    async def wait(self, *args: Any, **kwargs: Any) -> Any:
        """See `psycopg.AsyncConnection.wait`."""
        if self._listening or not self.patience_s:
            return await super().wait(*args, **kwargs)
        hanging_up = asyncio.get_running_loop().call_later(self.patience_s, self._hang_up)
        try:
            return await super().wait(*args, **kwargs)
        finally:
            hanging_up.cancel()

    async def notifies(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is psycopg's
        stop_after: int | None = None,
    ) -> AsyncGenerator[Notify]:
        """See `psycopg.AsyncConnection.notifies`; the deadline of `wait` does not apply meanwhile."""
        self._listening = True
        try:
            async for notify in super().notifies(timeout=timeout, stop_after=stop_after):
                yield notify
        finally:
            self._listening = False

    def _hang_up(self) -> None:
        """Shut the socket down in both directions, which wakes whatever waits on it."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)


def patient(timeout_s: float) -> type[DatabaseConnection]:
    """Return a connection class that waits a little longer than the server's ``timeout_s``; 0: for ever."""
    patience_s = timeout_s + _CLIENT_MARGIN_S if timeout_s else 0.0
    return type("Connection", (DatabaseConnection,), {"patience_s": patience_s})
