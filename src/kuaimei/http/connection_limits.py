"""Limits on the number of connections, in all and per address, before any key is checked.

Each connection takes a file descriptor, and recordings of running conversations need descriptors, too. So
there are fewer connections than the process may have descriptors. Once all are taken, the one that has been
idle for longest is closed for a new one; if none is idle, the new one is refused.
"""

import logging
import time
from collections import Counter
from typing import Final, Protocol

from kuaimei.settings import ServerSettings, is_loopback
from kuaimei.system.descriptors import raise_descriptor_limit

__all__ = ["RESERVED_DESCRIPTORS", "ConnectionRegistry", "Rarely", "connection_registry"]

_log = logging.getLogger(__name__)

RESERVED_DESCRIPTORS: Final = 256
"""Descriptors kept for recordings, the database, engines and child processes."""
_LEAST: Final = 16
_QUIET_S: Final = 10.0


class TrackedConnection(Protocol):
    """A connection that the registry can close."""

    def drop(self) -> None:
        """Close the connection at once."""
        ...


class ConnectionRegistry:
    """The open connections.

    Args:
        most: Connections in all.
        most_per_address: … from one address; loopback, where a proxy may run, is not limited.
    """

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._addresses: dict[TrackedConnection, str] = {}
        self._by_address: Counter[str] = Counter()
        self._silent: dict[TrackedConnection, None] = {}  # idle ones, longest first
        self._rarely = Rarely(_QUIET_S)

    def __len__(self) -> int:
        return len(self._addresses)

    def enter(self, connection: TrackedConnection, address: str) -> bool:
        """Add ``connection``, which has no request yet.

        Args:
            connection: May be dropped later in favour of another.
            address: Of the client; empty: this machine.

        Returns:
            False if the connection is refused.
        """
        address = "" if is_loopback(address) else address
        if address and self._by_address[address] >= self._most_per_address:
            self._tell("from %s, which already has %d", address, self._most_per_address)
            return False
        if len(self._addresses) >= self._most:
            oldest = next(iter(self._silent), None)
            if oldest is None:
                self._tell("from %s: all %d are in use", address or "this machine", self._most)
                return False
            self._tell("idle and closed to make room: all %d were in use", self._most)
            self.leave(oldest)
            oldest.drop()
        self._addresses[connection] = address
        self._by_address[address] += 1
        self._silent[connection] = None
        return True

    def asked(self, connection: TrackedConnection) -> None:
        """Mark the connection as busy: it is not dropped for another."""
        self._silent.pop(connection, None)

    def answered(self, connection: TrackedConnection) -> None:
        """Mark the connection as idle, behind those that have been idle for longer."""
        if connection in self._addresses:
            self._silent[connection] = None

    def leave(self, connection: TrackedConnection) -> None:
        """Remove the connection; idempotent."""
        address = self._addresses.pop(connection, None)
        self._silent.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _tell(self, what: str, *details: object) -> None:
        if (count := self._rarely.ask()) is not None:
            _log.warning(
                "%d connections refused or closed within %g s, the last one " + what,
                count,
                _QUIET_S,
                *details,
            )


def connection_registry(settings: ServerSettings) -> ConnectionRegistry:
    """Return the registry of one server; raises the descriptor limit as far as the system allows."""
    most = min(settings.max_connections, raise_descriptor_limit() - RESERVED_DESCRIPTORS)
    return ConnectionRegistry(max(most, _LEAST), settings.max_connections_per_address)


class Rarely:
    """Rate limit that reports how many calls it covered.

    Args:
        every_s: Minimum seconds between two calls that pass.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._next = 0.0
        self._count = 0

    def ask(self) -> int | None:
        """Count a call; return None, or the number of calls since the last one that passed."""
        self._count += 1
        now = time.monotonic()
        if now < self._next:
            return None
        count, self._count, self._next = self._count, 0, now + self._every_s
        return count
