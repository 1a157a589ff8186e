"""Origin of a request according to its headers: host names, web origins and traces of a proxy."""

import ipaddress
from collections.abc import Iterable
from typing import Final, TypeAlias
from urllib.parse import urlsplit

__all__ = ["Origin", "is_address", "is_proxied", "name_of", "origin_of", "place_of"]

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host name and port (RFC 6454)."""

_PORTS: Final = {"http": 80, "https": 443}
_PROXIED: Final = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"}
)
_PROXIED_BEGIN: Final = "x-forwarded-"


def is_proxied(headers: Iterable[str]) -> bool:
    """Return whether ``headers`` (names) include one that proxies add."""
    return any(name.lower() in _PROXIED or name.lower().startswith(_PROXIED_BEGIN) for name in headers)


def origin_of(text: str) -> Origin | None:
    """Return scheme, host name and port of an Origin header; None if it is not a web origin."""
    try:
        asked = urlsplit(text)
        port = asked.port
    except ValueError:
        return None
    if asked.scheme not in {"http", "https"} or not asked.hostname or asked.path not in {"", "/"}:
        return None
    return asked.scheme, asked.hostname.lower(), port or _PORTS[asked.scheme]


def place_of(host: str, scheme: str) -> tuple[str, int] | None:
    """Return the host name and port of a Host header under ``scheme``; None if it is malformed."""
    try:
        asked = urlsplit(f"//{host}")
        return (asked.hostname or "").lower(), asked.port or _PORTS[scheme]
    except ValueError:
        return None


def name_of(url: str) -> str:
    """Return the host name of a URL or of ``//host``; empty if there is none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    """Return whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
