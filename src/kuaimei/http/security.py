"""Who may come in: keys, Host allow-list against DNS rebinding, and what browsers say of a request.

A browser sends requests on behalf of any page it shows. A page whose name is rebound to 127.0.0.1 still sends
its own name as Host, a page of another site sends its Origin, and a browser says of every request whether
another site caused it (Fetch Metadata): all of these are refused. Programs send none of it.
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
from kuaimei.people.authentication import Entrance
from kuaimei.people.caller import Caller
from kuaimei.people.keys import is_key
from kuaimei.people.names import NameRefused
from kuaimei.settings import ServerSettings

__all__ = ["AuthMiddleware", "key_of"]

_KEY_PROTOCOL = "openai-insecure-api-key."
_OPEN_PATHS = frozenset({"/", "/healthz", "/readyz"})
"""Told without a key: that it runs, and nothing else."""
_DISCONNECT_WAIT_S = 0.5
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain"})

_Networks: TypeAlias = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def key_of(headers: Headers, subprotocols: Iterable[str] = ()) -> str:
    """The key a client presents: Bearer token, or the WebSocket subprotocol browsers must use instead."""
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
    """Refuses whoever may not come in; ASGI middleware for HTTP and WebSocket alike.

    Sets ``scope["state"]`` of whoever is let through: ``caller`` (`kuaimei.people.caller.Caller`) and
    ``owner``, the id of that person; on the few paths that are open to all these are None and empty for
    whoever shows no key.

    Args:
        app: What lies behind.
        settings: Own host, further allowed hosts, and whose word about people is believed.
        open_paths: Further paths that need no key: the files of the page, on which one is asked for it.
        entrance: Knows the keys; None: only the configured one lets in.
        refusals: Counts and tells of whom was refused; None: of its own.
        loading: People's keys are not known yet: one that may be somebody's is let through to ``app``, which
            must tell nothing but that the server is loading.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        open_paths: frozenset[str] = frozenset(),
        *,
        entrance: Entrance | None = None,
        refusals: Refusals | None = None,
        loading: bool = False,
    ) -> None:
        self._app = app
        self._pages = open_paths | {"/"}
        self._open_paths = _OPEN_PATHS | open_paths
        self._entrance = entrance or Entrance(settings)
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
        """Let through or refuse."""
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
        """Why the request is none of this server's, by where it says that it comes from."""
        host = headers.get("host", "")
        if not self._is_allowed_host(host):
            told = (
                f"the host name {host[:80]!r} is not one of this server's: "
                "add it to KUAIMEI_SERVER__ALLOWED_HOSTS"
            )
            return _Refusal(421, "host_not_allowed", "host", told)
        origin = headers.get("origin")
        if origin is not None and not self._same_site(origin, host, scope, headers):
            told = (
                f"pages of {origin[:80]} may not use this server: add their origin, scheme included, to "
                "KUAIMEI_SERVER__ALLOWED_HOSTS"
            )
            return _Refusal(403, "origin_not_allowed", "origin", told)
        if not self._own_doing(scope, headers, origin):
            told = "another site caused this request: open the page of this server itself"
            return _Refusal(403, "cross_site", "cross_site", told)
        if self._open and is_proxied(headers):
            told = (
                "this server asks for no key (KUAIMEI_SERVER__OPEN), so it answers to no proxy: leave that "
                "out, and let people come with keys"
            )
            return _Refusal(403, "proxy_not_allowed", "proxied", told)
        return None

    async def _admit(self, scope: Scope, headers: Headers) -> tuple[Caller | None, _Refusal | None]:
        """Whoever may come in, or why nobody may."""
        presented = key_of(headers, scope.get("subprotocols", ()))
        caller = self._entrance.identify(presented)
        if caller is not None:
            return caller, None
        if self._identity_header and self._trusted(scope):
            given = [value for name, value in scope["headers"] if name.lower() == self._identity_header]
            if given:
                return await self._identified(given)
        if scope["path"] in self._open_paths:
            return None, None
        if self._loading and not self._entrance.ready and is_key(presented):
            return None, None
        told = "a valid API key is needed: send it as 'Authorization: Bearer …'"
        return None, _Refusal(401, "invalid_api_key", "wrong_key" if presented else "no_key", told)

    async def _identified(self, given: list[bytes]) -> tuple[Caller | None, _Refusal | None]:
        """Who a trusted proxy says that it is."""
        if self._loading:
            return None, None
        name = self._identity_header.decode()
        if len(given) != 1:
            told = f"the header {name} came {len(given)} times: the proxy must replace it"
            return None, _Refusal(403, "not_allowed", "identity", told)
        try:
            return await self._entrance.named(given[0].decode("utf-8")), None
        except UnicodeDecodeError:
            told = f"the header {name} is no UTF-8 text"
        except NameRefused as refused:
            told = str(refused)
        except StoreError as error:
            told = f"who you are cannot be looked up now: {error}"
            return None, _Refusal(503, "store", "identity", told, retry_after_s=5)
        return None, _Refusal(403, "not_allowed", "identity", told)

    def _peer(self, scope: Scope, headers: Headers) -> str:
        """Address at the other end; behind a trusted proxy that which the proxy tells."""
        peer = _peer_of(scope)
        if self._trusted(scope):
            nearest = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
            return nearest if is_address(nearest) else peer
        return peer

    def _trusted(self, scope: Scope) -> bool:
        """The peer itself, not what it says of others, is an allow-listed proxy."""
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
        """The page comes from this server by the name under which it is asked, or from an allowed origin."""
        found = origin_of(origin)
        if found is None:
            return False
        if found in self._origins:
            return True
        scheme, name, port = found
        # What a proxy says of the scheme can only make this stricter, so it need not be believed.
        outside = headers.get("x-forwarded-proto", "").strip().lower()
        if scope.get("scheme") in {"https", "wss"} or outside == "https":
            outside = "https"
        if outside in {"http", "https"} and outside != scheme:
            return False
        return (name, port) == place_of(host, scheme)

    def _own_doing(self, scope: Scope, headers: Headers, origin: str | None) -> bool:
        """No other site made the browser send this; to open the page from a link is fine."""
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
        # uvicorn takes an application that returns before the connection is gone for a broken one.
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCONNECT_WAIT_S):
                while True:
                    await receive()
