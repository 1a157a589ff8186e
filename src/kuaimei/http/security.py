"""Access control: keys, a Host allow-list against DNS rebinding, and checks of browser headers.

A browser sends requests on behalf of any page it shows. A page whose name is rebound to 127.0.0.1 still sends
its own name as Host, a page of another site sends its Origin, and a browser says of every request whether
another site caused it (Fetch Metadata): all of these are refused. Other programs send none of these headers.
"""

import asyncio
import ipaddress
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from kuaimei.errors import StoreError
from kuaimei.http.errors import error_body
from kuaimei.http.origins import is_address, is_proxied, name_of, origin_of, place_of
from kuaimei.http.refusals import Reason, Refusals
from kuaimei.people.authentication import Authentication
from kuaimei.people.caller import Caller
from kuaimei.people.keys import is_key
from kuaimei.people.names import NameRefused
from kuaimei.settings import ServerSettings

__all__ = ["AuthMiddleware", "key_of"]

_KEY_PROTOCOL = "openai-insecure-api-key."
_OPEN_PATHS = frozenset({"/", "/healthz", "/readyz"})
"""Paths that need no key: without one they tell only that the server runs."""
_DISCONNECT_WAIT_S = 0.5
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain"})

_Networks: TypeAlias = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def key_of(headers: Headers, subprotocols: Iterable[str] = ()) -> str:
    """Return the client's key: Bearer token, or the WebSocket subprotocol that browsers must use instead."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    for offered in subprotocols:
        if offered.startswith(_KEY_PROTOCOL):
            return offered.removeprefix(_KEY_PROTOCOL)
    return ""


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    code: str
    reason: Reason
    message: str
    retry_after_s: int | None = None


class AuthMiddleware:
    """ASGI middleware that refuses unauthorized requests, HTTP and WebSocket alike.

    Sets ``scope["state"]`` of requests that it lets through: ``caller`` (`kuaimei.people.caller.Caller`) and
    ``owner``, the id of that person. On the few paths that need no key these are None and empty for callers
    without one.

    Args:
        app: The wrapped ASGI application.
        settings: Own host, further allowed hosts, and the proxies that may say who a user is.
        open_paths: Further paths that need no key: the files of the page, which asks for it.
        authentication: Knows the keys; None: only the configured one is accepted.
        refusals: Counts and logs refused requests; None: a new one.
        loading: People's keys are not known yet: requests with a well-formed key are let through to ``app``,
            which must tell nothing but that the server is loading.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        open_paths: frozenset[str] = frozenset(),
        *,
        authentication: Authentication | None = None,
        refusals: Refusals | None = None,
        loading: bool = False,
    ) -> None:
        self._app = app
        self._pages = open_paths | {"/"}
        self._open_paths = _OPEN_PATHS | open_paths
        self._authentication = authentication or Authentication(settings)
        self._refusals = refusals or Refusals()
        self._loading = loading
        self._open = settings.open
        self._identity_header = settings.identity_header.lower().encode()
        self._proxies: _Networks = tuple(map(ipaddress.ip_network, settings.trusted_proxies))
        allowed = [host.lower() for host in settings.allowed_hosts]
        self._origins = frozenset(filter(None, (origin_of(host) for host in allowed if "://" in host)))
        names = (name_of(host if "://" in host else f"//{host}") for host in allowed)
        self._names = _LOCAL_NAMES | {settings.host.lower()} | {*names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        peer = self._peer(scope, headers)
        refusal = self._foreign(scope, headers)
        caller: Caller | None = None
        if refusal is None:
            caller, refusal = await self._admit(scope, headers)
        if refusal is not None:
            self._refusals.note(refusal.reason, peer)
            if refusal.reason == "wrong_key":
                await self._refusals.slow_down(peer)
            await _refuse(scope, receive, send, refusal)
            return
        state = scope.setdefault("state", {})
        state["caller"] = caller
        state["owner"] = caller.person if caller is not None else ""
        await self._app(scope, receive, send)

    def _foreign(self, scope: Scope, headers: Headers) -> _Refusal | None:
        """Return why the request is refused by its host, origin, cause or proxy; None if it is not."""
        host = headers.get("host", "")
        if not self._is_allowed_host(host):
            told = f"the host name {host[:80]!r} is not allowed: add it to KUAIMEI_SERVER__ALLOWED_HOSTS"
            return _Refusal(421, "host_not_allowed", "host", told)
        origin = headers.get("origin")
        if origin is not None and not self._same_site(origin, host, scope, headers):
            told = (
                f"pages from {origin[:80]} may not use this server: add their origin, including the scheme, "
                "to KUAIMEI_SERVER__ALLOWED_HOSTS"
            )
            return _Refusal(403, "origin_not_allowed", "origin", told)
        if not self._own_doing(scope, headers, origin):
            told = "another site triggered this request: open this server's page directly"
            return _Refusal(403, "cross_site", "cross_site", told)
        if self._open and is_proxied(headers):
            told = (
                "this server requires no key (KUAIMEI_SERVER__OPEN), so it refuses requests through a proxy: "
                "turn that setting off and use keys"
            )
            return _Refusal(403, "proxy_not_allowed", "proxied", told)
        return None

    async def _admit(self, scope: Scope, headers: Headers) -> tuple[Caller | None, _Refusal | None]:
        """Return the caller (None without a key on an open path), or the refusal."""
        presented = key_of(headers, scope.get("subprotocols", ()))
        caller = self._authentication.identify(presented)
        if caller is not None:
            return caller, None
        if self._identity_header and self._trusted(scope):
            given = [value for name, value in scope["headers"] if name.lower() == self._identity_header]
            if given:
                return await self._identified(given)
        if scope["path"] in self._open_paths:
            return None, None
        if self._loading and not self._authentication.ready and is_key(presented):
            return None, None
        told = "a valid API key is needed: send it as 'Authorization: Bearer …'"
        return None, _Refusal(401, "invalid_api_key", "wrong_key" if presented else "no_key", told)

    async def _identified(self, given: list[bytes]) -> tuple[Caller | None, _Refusal | None]:
        """Return the caller that a trusted proxy names, or the refusal."""
        if self._loading:
            return None, None
        name = self._identity_header.decode()
        if len(given) != 1:
            told = f"the header {name} was sent {len(given)} times: the proxy must replace it"
            return None, _Refusal(403, "not_allowed", "identity", told)
        try:
            return await self._authentication.named(given[0].decode("utf-8")), None
        except UnicodeDecodeError:
            told = f"the header {name} is not valid UTF-8"
        except NameRefused as refused:
            told = str(refused)
        except StoreError as error:
            told = f"your identity cannot be looked up now: {error}"
            return None, _Refusal(503, "store", "identity", told, retry_after_s=5)
        return None, _Refusal(403, "not_allowed", "identity", told)

    def _peer(self, scope: Scope, headers: Headers) -> str:
        """Return the client's address; behind a trusted proxy, the one that the proxy reports."""
        peer = _peer_of(scope)
        if self._trusted(scope):
            nearest = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
            return nearest if is_address(nearest) else peer
        return peer

    def _trusted(self, scope: Scope) -> bool:
        """Return whether the peer itself (not an address it reports) is an allow-listed proxy."""
        try:
            address = ipaddress.ip_address(_peer_of(scope).partition("%")[0])
        except ValueError:
            return False
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._proxies)

    def _is_allowed_host(self, host: str) -> bool:
        name = name_of(f"//{host}")
        return name in self._names or is_address(name)  # rebinding needs a name

    def _same_site(self, origin: str, host: str, scope: Scope, headers: Headers) -> bool:
        """Return whether the page is from this server under the requested name or from an allowed origin."""
        found = origin_of(origin)
        if found is None:
            return False
        if found in self._origins:
            return True
        scheme, name, port = found
        # The scheme that a proxy reports can only make the check stricter, so it need not be trusted.
        outside = headers.get("x-forwarded-proto", "").strip().lower()
        if scope.get("scheme") in {"https", "wss"} or outside == "https":
            outside = "https"
        if outside in {"http", "https"} and outside != scheme:
            return False
        return (name, port) == place_of(host, scheme)

    def _own_doing(self, scope: Scope, headers: Headers, origin: str | None) -> bool:
        """Return whether no other site caused the request; opening the page by a link is allowed."""
        if headers.get("sec-fetch-site", "none").lower() not in {"cross-site", "same-site"}:
            return True
        if origin is not None and origin_of(origin) in self._origins:
            return True
        navigating = (
            headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        )
        return navigating and scope.get("method") in {"GET", "HEAD"} and scope["path"] in self._pages


def _peer_of(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: _Refusal) -> None:
    told = error_body(refusal.message, refusal.status, code=refusal.code)
    body = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    prefix = ""
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.message[:120]})
            return
        prefix = "websocket."
    await send({"type": f"{prefix}http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": body})
    if prefix:
        # uvicorn reports an application as broken that returns before the connection is closed.
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCONNECT_WAIT_S):
                while True:
                    await receive()
