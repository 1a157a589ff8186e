"""A connection to PostgreSQL that gives up on a server, or a network, that does not answer.

The server is asked to end what takes too long by itself. That does not help where nothing comes through any
more: there this side hangs up, so that whoever waits gets an error and the pool makes a new connection.
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
"""This side waits so much longer than the server is told to: an error it sends is better than none."""
_NETWORK_MS: Final = 20_000
_SOCKET: Final = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": _NETWORK_MS,
}
"""For the kernel: a peer that is gone is noticed within a minute, data that nobody takes within 20 s."""


def with_deadlines(conninfo: str, timeout_s: float) -> str:
    """``conninfo`` with deadlines for what the server does for a connection.

    Args:
        conninfo: In libpq's form or as a URL; options it has stay, and are stronger.
        timeout_s: Longest time of one statement, and of waiting for a lock; 0: none.

    Raises:
        psycopg.ProgrammingError: If ``conninfo`` cannot be understood.
    """
    given = conninfo_to_dict(conninfo)
    server: Mapping[str, int] = {
        "statement_timeout": round(timeout_s * 1000),
        "lock_timeout": round(timeout_s * 1000),
        "idle_in_transaction_session_timeout": round(timeout_s * 2000),
        # A client whose network is gone lets go of its locks: by default only after two hours.
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
    """Hangs up when an answer does not come.

    Attributes:
        patience_s: Longest wait for one answer; 0: for ever.
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
        """See `psycopg.AsyncConnection.notifies`: that nothing comes is no failure here."""
        self._listening = True
        try:
            async for notify in super().notifies(timeout=timeout, stop_after=stop_after):
                yield notify
        finally:
            self._listening = False

    def _hang_up(self) -> None:
        """Both directions at once: whatever waits on the socket sees its end now."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)


def patient(timeout_s: float) -> type[DatabaseConnection]:
    """A class of connections that wait a little longer than the server's own ``timeout_s``; 0: for ever."""
    patience_s = timeout_s + _CLIENT_MARGIN_S if timeout_s else 0.0
    return type("Connection", (DatabaseConnection,), {"patience_s": patience_s})
