"""How many connections there may be before anybody has shown a key: in all, and from one address.

Whoever connects takes a descriptor, and the files of what is being said need descriptors too. So there are
fewer connections than the process may have descriptors; where all are taken, the one that has waited longest
without having asked for anything makes way, and if there is none, the new one is refused.
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
"""For recordings, the database, engines and child processes."""
_LEAST: Final = 16
_QUIET_S: Final = 10.0


class TrackedConnection(Protocol):
    """What can be closed."""

    def drop(self) -> None:
        """Close it at once."""
        ...


class ConnectionRegistry:
    """Who is connected.

    Args:
        most: Connections in all.
        most_per_address: … from one address; those of this machine, where a proxy may run, are not counted.
    """

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._addresses: dict[TrackedConnection, str] = {}
        self._by_address: Counter[str] = Counter()
        self._silent: dict[TrackedConnection, None] = {}  # in the order in which they came
        self._rarely = Rarely(_QUIET_S)

    def __len__(self) -> int:
        return len(self._addresses)

    def enter(self, connection: TrackedConnection, address: str) -> bool:
        """``connection`` is there, and has not asked for anything yet; False: it is not let in.

        Args:
            connection: Is dropped later, should it make way for another.
            address: Where it comes from; empty: from this machine.
        """
        address = "" if is_loopback(address) else address
        if address and self._by_address[address] >= self._most_per_address:
            self._tell("from %s, which has %d already", address, self._most_per_address)
            return False
        if len(self._addresses) >= self._most:
            oldest = next(iter(self._silent), None)
            if oldest is None:
                self._tell("from %s: all %d are taken", address or "this machine", self._most)
                return False
            self._tell("that asked for nothing, to make way: all %d were taken", self._most)
            self.leave(oldest)
            oldest.drop()
        self._addresses[connection] = address
        self._by_address[address] += 1
        self._silent[connection] = None
        return True

    def asked(self, connection: TrackedConnection) -> None:
        """It has asked for something: it does not make way any more."""
        self._silent.pop(connection, None)

    def answered(self, connection: TrackedConnection) -> None:
        """It has its answer: it makes way again, after those that have waited longer."""
        if connection in self._addresses:
            self._silent[connection] = None

    def leave(self, connection: TrackedConnection) -> None:
        """It is gone; idempotent."""
        address = self._addresses.pop(connection, None)
        self._silent.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _tell(self, what: str, *details: object) -> None:
        if (count := self._rarely.ask()) is not None:
            _log.warning(
                "%d connections refused or closed within %g s, the last " + what, count, _QUIET_S, *details
            )


def connection_registry(settings: ServerSettings) -> ConnectionRegistry:
    """For the connections of one server; asks the system for as many descriptors as it gives."""
    most = min(settings.max_connections, raise_descriptor_limit() - RESERVED_DESCRIPTORS)
    return ConnectionRegistry(max(most, _LEAST), settings.max_connections_per_address)


class Rarely:
    """Lets one of many through now and then, and says how many there were since.

    Args:
        every_s: At most so often.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._next = 0.0
        self._count = 0

    def ask(self) -> int | None:
        """Another one: None, or how many came since one was let through last."""
        self._count += 1
        now = time.monotonic()
        if now < self._next:
            return None
        count, self._count, self._next = self._count, 0, now + self._every_s
        return count
