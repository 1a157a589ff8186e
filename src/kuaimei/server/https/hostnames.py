"""Names and addresses under which this machine can be reached, for its certificate."""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]

from kuaimei.settings import ServerSettings, is_loopback

__all__ = ["Address", "Names", "names_of"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_One = TypeVar("_One")

_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_MAX_ADDRESSES: Final = 64
"""A machine with many containers has many addresses; this keeps the certificate small for handshakes."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names and addresses that a certificate covers.

    Attributes:
        hosts: Host names in lower case, the most useful one first.
        addresses: IP addresses.
    """

    hosts: tuple[str, ...]
    addresses: tuple[Address, ...]

    def covers(self, other: "Names") -> bool:
        """Return whether everything in ``other`` is included."""
        return set(other.hosts) <= set(self.hosts) and set(other.addresses) <= set(self.addresses)


def names_of(settings: ServerSettings) -> Names:
    """Return every name and address under which a server with these settings can be reached.

    On loopback these are ``localhost`` and the allowed hosts; otherwise also this machine's name, plain and
    in the ``.local`` domain of multicast DNS, and its addresses.
    """
    loopback: list[Address] = [ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1")]
    hosts: list[str] = []
    addresses: list[Address] = []
    if not is_loopback(settings.host):
        name = socket.gethostname().lower().rstrip(".")
        short = name.partition(".")[0]
        hosts += [f"{short}.local", name, short]
        addresses += sorted(_own_addresses(), key=lambda one: (one.version, int(one)))
        given = _address(settings.host)
        if given is not None and not given.is_unspecified:
            addresses.insert(0, given)
        elif given is None:
            hosts.insert(0, settings.host.lower())
    for allowed in settings.allowed_hosts:
        host = _host(allowed)
        address = _address(host)
        if address is None:
            hosts.append(host)
        else:
            addresses.append(address)
    return Names(
        _unique(host for host in (*hosts, "localhost") if _HOST_NAME.fullmatch(host)),
        _unique((*addresses[:_MAX_ADDRESSES], *loopback)),
    )


def _own_addresses() -> set[Address]:
    """Return the addresses of all network interfaces, without link-local ones, which browsers cannot open."""
    found: set[Address] = set()
    for interface in psutil.net_if_addrs().values():
        for one in interface:
            if one.family in {socket.AF_INET, socket.AF_INET6}:
                address = _address(one.address)
                if address is not None and not (address.is_loopback or address.is_link_local):
                    found.add(address)
    return found


def _host(allowed: str) -> str:
    """Return the host name of an entry that may be a whole origin (``https://talk.example:8443``)."""
    if "://" not in allowed:
        return allowed.lower()
    try:
        return urlsplit(allowed).hostname or ""
    except ValueError:
        return ""


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return None


def _unique(ones: Iterable[_One]) -> tuple[_One, ...]:
    return tuple(dict.fromkeys(ones))
