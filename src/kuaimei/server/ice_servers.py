"""STUN and TURN servers for the server's own connections and for browsers."""

import base64
import hmac
import time
from collections.abc import Sequence
from typing import Any

from kuaimei.settings import IceServer

__all__ = ["client_ice_servers"]

_LIFETIME_S = 12 * 3600


def client_ice_servers(
    servers: Sequence[IceServer], user: str, now: float | None = None
) -> list[dict[str, Any]]:
    """Return the servers in the form that ``RTCPeerConnection`` takes.

    A TURN server that shares a secret with this one gets credentials that expire (TURN REST API,
    draft-uberti-behave-turn-rest): user name ``expiry:user``, password its HMAC-SHA1 in base64.

    Args:
        servers: The configured servers.
        user: Appears in the TURN server's log.
        now: Unix time in seconds; None: the current time.
    """
    given: list[dict[str, Any]] = []
    for server in servers:
        entry: dict[str, Any] = {"urls": list(server.urls)}
        if secret := server.secret.get_secret_value():
            expiry = int(time.time() if now is None else now) + _LIFETIME_S
            entry["username"] = f"{expiry}:{server.username or user}"
            digest = hmac.digest(secret.encode(), entry["username"].encode(), "sha1")
            entry["credential"] = base64.b64encode(digest).decode()
        elif server.username:
            entry["username"] = server.username
            entry["credential"] = server.credential.get_secret_value()
        given.append(entry)
    return given
