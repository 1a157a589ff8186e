"""Refused requests: counted, logged at a limited rate, and delayed after wrong keys."""

import asyncio
import ipaddress
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

__all__ = ["REASONS", "Reason", "Refusals"]

_log = logging.getLogger(__name__)

Reason: TypeAlias = Literal[
    "host", "origin", "cross_site", "proxied", "identity", "no_key", "wrong_key", "not_allowed"
]
"""Unknown host name; page of another site; browser request caused by another site; through a proxy where no
key is required; name that a proxy may not give; no key; unknown key; role without permission.
"""
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)

_ORDINARY: Final[frozenset[Reason]] = frozenset({"no_key"})
"""Reasons that are normal: a user who opens the page for the first time is asked for a key."""
_INTERVAL_S: Final = 60.0
"""Seconds in which at most one line is logged for each reason and address …"""
_LINES: Final = 60
"""… and at most this many in all, so that a client with many addresses does not fill the disk."""
_REMEMBERED: Final = 1024
"""Addresses remembered for each purpose; the least recently seen is dropped first."""
_FREE: Final = 5
"""Wrong keys that are not delayed: people paste the wrong one."""
_FIRST_DELAY_S: Final = 0.1
_MAX_DELAY_S: Final = 3.0
_WAITING: Final = 32
"""Responses delayed at once; further ones are sent at once, so that they cannot pile up."""
_FORGIVEN_S: Final = 900.0
"""Seconds without a wrong key after which the count of an address is reset."""


@dataclass(slots=True)
class _Line:
    since: float
    held_back: int = 0


@dataclass(slots=True)
class _Tries:
    last: float
    count: int = 0


class Refusals:
    """Counts, logs and delays refusals; used on the event loop only.

    Args:
        clock: Returns seconds; None: the event loop's clock.
        sleep: Waits for the given seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._counts: Counter[Reason] = Counter()
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._sleep = sleep
        self._lines: OrderedDict[tuple[Reason, str], _Line] = OrderedDict()
        self._recent: list[float] = []
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._waiting = 0

    @property
    def counts(self) -> Mapping[Reason, int]:
        """Refusals so far, by reason."""
        return {reason: self._counts[reason] for reason in REASONS}

    def note(self, reason: Reason, peer: str) -> None:
        """Count and log a refusal of the address ``peer``; neither key nor other request data is logged."""
        self._counts[reason] += 1
        now, which = self._clock(), (reason, _address(peer))
        line = self._lines.get(which)
        if line is not None and now - line.since < _INTERVAL_S:
            line.held_back += 1
            return
        self._recent = [at for at in self._recent if now - at < _INTERVAL_S]
        if len(self._recent) >= _LINES:
            return
        self._recent.append(now)
        more = f" (and {line.held_back} more since the last line)" if line and line.held_back else ""
        level = logging.INFO if reason in _ORDINARY else logging.WARNING
        _log.log(level, "refused a request from %s: %s%s", which[1], reason, more)
        self._lines[which] = _Line(now)
        self._lines.move_to_end(which)
        while len(self._lines) > _REMEMBERED:
            self._lines.popitem(last=False)

    async def slow_down(self, peer: str) -> None:
        """Delay the response to a wrong key: longer, the more there were from that address."""
        now, address = self._clock(), _address(peer)
        tries = self._tries.setdefault(address, _Tries(now))
        if now - tries.last > _FORGIVEN_S:
            tries.count = 0
        tries.last, tries.count = now, tries.count + 1
        self._tries.move_to_end(address)
        while len(self._tries) > _REMEMBERED:
            self._tries.popitem(last=False)
        beyond = tries.count - _FREE
        if beyond <= 0 or self._waiting >= _WAITING:
            return
        self._waiting += 1
        try:
            await self._sleep(min(_FIRST_DELAY_S * 2.0 ** min(beyond - 1, 10), _MAX_DELAY_S))
        finally:
            self._waiting -= 1


def _address(peer: str) -> str:
    """Return the address, or a placeholder if it is none, so that no request data reaches the log."""
    try:
        found = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return "an unknown address"
    # A household has a whole /64 of IPv6 to try from.
    if found.version == 6 and found.ipv4_mapped is None and not found.is_loopback:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
