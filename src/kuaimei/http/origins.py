"""Where a request comes from, by what its headers say: names, origins, and traces of a proxy."""

import ipaddress
from collections.abc import Iterable
from typing import Final, TypeAlias
from urllib.parse import urlsplit

__all__ = ["Origin", "is_address", "is_proxied", "name_of", "origin_of", "place_of"]

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, name and port (RFC 6454)."""

_PORTS: Final = {"http": 80, "https": 443}
_PROXIED: Final = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"}
)
_PROXIED_BEGIN: Final = "x-forwarded-"


def is_proxied(headers: Iterable[str]) -> bool:
    """Whether one of the header names in ``headers`` is one that a proxy adds."""
    return any(name.lower() in _PROXIED or name.lower().startswith(_PROXIED_BEGIN) for name in headers)


def origin_of(text: str) -> Origin | None:
    """Scheme, name and port of an Origin header; None: it is no origin of the web."""
    try:
        asked = urlsplit(text)
        port = asked.port
    except ValueError:
        return None
    if asked.scheme not in {"http", "https"} or not asked.hostname or asked.path not in {"", "/"}:
        return None
    return asked.scheme, asked.hostname.lower(), port or _PORTS[asked.scheme]


def place_of(host: str, scheme: str) -> tuple[str, int] | None:
    """Name and port that a Host header means under ``scheme``."""
    try:
        asked = urlsplit(f"//{host}")
        return (asked.hostname or "").lower(), asked.port or _PORTS[scheme]
    except ValueError:
        return None


def name_of(url: str) -> str:
    """Host name of a URL, or of what follows ``//``; empty: there is none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    """Whether a host is an IP address, in whichever notation is not a name."""
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
