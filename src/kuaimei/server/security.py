"""Who may come in: API key, Host allow-list against DNS rebinding, and Origin check.

A browser sends requests on behalf of any page it shows. A page whose name is rebound to 127.0.0.1
still sends its own name as Host, and a page of another site sends its Origin: both are refused, so
that a server on loopback needs no key. Programs send no Origin.
"""

import asyncio
import hmac
import ipaddress
import json
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from kuaimei.server.errors import error_body
from kuaimei.settings import ServerSettings

if TYPE_CHECKING:
    from kuaimei.store.rows import Session

__all__ = ["OWNER", "Guard", "key_of", "owner_of"]

OWNER = "local"
"""Who owns what is said here: there is one key (or, on loopback, one user), so one owner."""

_KEY_PROTOCOL = "openai-insecure-api-key."
_OPEN_PATHS = frozenset({"/", "/healthz", "/readyz"})
"""Told without a key: that it runs, and nothing else."""
_GONE_S = 0.5
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain"})


def key_of(headers: Headers, subprotocols: Iterable[str] = ()) -> str:
    """The key a client presents: Bearer token, or the WebSocket subprotocol browsers must use instead."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    for offered in subprotocols:
        if offered.startswith(_KEY_PROTOCOL):
            return offered.removeprefix(_KEY_PROTOCOL)
    return ""


def owner_of(session: "Session") -> str:
    """Who may see and go on with ``session``; those begun elsewhere (the command line) are the one user's."""
    owner: str = session.client.get("owner", OWNER)
    return owner


class Guard:
    """Refuses whoever may not come in; ASGI middleware for HTTP and WebSocket alike.

    Sets ``scope["state"]["owner"]`` to `OWNER` for whoever may use everything, else to an empty string
    (only on the few paths that are open to all).

    Args:
        app: What lies behind.
        settings: Key, own host and further allowed hosts.
        open_paths: Further paths that need no key: the files of the page, on which one is asked for it.
    """

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, open_paths: frozenset[str] = frozenset()
    ) -> None:
        self._app = app
        self._open = _OPEN_PATHS | open_paths
        key = settings.api_key.get_secret_value()
        self._key = sha256(key.encode()).digest() if key else None
        self._names = _LOCAL_NAMES | {settings.host.lower()} | {h.lower() for h in settings.allowed_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through or refuse."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._knows(host):
            told = (
                f"the host name {host!r} is not one of this server's: add it to KUAIMEI_SERVER__ALLOWED_HOSTS"
            )
            await _refuse(scope, receive, send, 421, told, "host_not_allowed")
            return
        origin = headers.get("origin")
        if origin is not None and not self._same_site(origin, host):
            told = (
                f"pages of {origin} may not use this server: add their host to KUAIMEI_SERVER__ALLOWED_HOSTS"
            )
            await _refuse(scope, receive, send, 403, told, "origin_not_allowed")
            return
        known = self._key is None or self._is_key(key_of(headers, scope.get("subprotocols", ())))
        if not known and scope["path"] not in self._open:
            told = "a valid API key is needed: send it as 'Authorization: Bearer …'"
            await _refuse(scope, receive, send, 401, told, "invalid_api_key")
            return
        scope.setdefault("state", {})["owner"] = OWNER if known else ""
        await self._app(scope, receive, send)

    def _is_key(self, presented: str) -> bool:
        # Digests are of one length, so the comparison tells nothing about the key's.
        return hmac.compare_digest(sha256(presented.encode()).digest(), self._key or b"")

    def _knows(self, host: str) -> bool:
        name = _name(f"//{host}")
        return name in self._names or _is_address(name)  # rebinding needs a name

    def _same_site(self, origin: str, host: str) -> bool:
        try:
            asked = urlsplit(origin)
        except ValueError:
            return False
        if asked.scheme not in {"http", "https"}:
            return False
        if asked.netloc.lower() == host.lower():
            return True
        name = _name(origin)
        return name in self._names - _LOCAL_NAMES and not _is_address(name)


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, message: str, code: str) -> None:
    body = json.dumps(error_body(message, status, code=code), ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    prefix = ""
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": message[:120]})
            return
        prefix = "websocket."
    await send({"type": f"{prefix}http.response.start", "status": status, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": body})
    if prefix:
        # uvicorn takes an application that returns before the connection is gone for a broken one.
        with suppress(TimeoutError):
            async with asyncio.timeout(_GONE_S):
                while True:
                    await receive()
