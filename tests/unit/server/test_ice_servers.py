import base64
import hmac
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from kuaimei.server.ice_servers import client_ice_servers
from kuaimei.settings import IceServer


def test_nobody_is_asked_by_default() -> None:
    assert client_ice_servers((), "local") == []


def test_servers_as_browsers_take_them() -> None:
    servers = (
        IceServer(urls=("stun:stun.example:3478",)),
        IceServer(urls=("turn:turn.example:3478",), username="me", credential=SecretStr("word")),
    )
    assert client_ice_servers(servers, "local") == [
        {"urls": ["stun:stun.example:3478"]},
        {"urls": ["turn:turn.example:3478"], "username": "me", "credential": "word"},
    ]


def test_a_shared_secret_stays_here() -> None:
    server = IceServer(urls=("turn:turn.example:3478",), secret=SecretStr("shared"))
    (given,) = client_ice_servers((server,), "local", now=1_000_000.5)
    assert given["username"] == "1043200:local"
    digest = base64.b64decode(given["credential"])
    assert hmac.compare_digest(digest, hmac.digest(b"shared", b"1043200:local", "sha1"))
    assert "shared" not in str(given)


@pytest.mark.parametrize(
    "urls",
    [(), ("http://turn.example",), ("turn.example",), ("turn:",), ("stun:a?transport=udp",), ("turn:a b",)],
)
def test_what_is_no_such_server(urls: Any) -> None:
    with pytest.raises(ValidationError):
        IceServer(urls=urls)
