"""Who may come in, asked of the guard alone."""

import json
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from kuaimei.server.security import OWNER, Guard, key_of
from kuaimei.settings import ServerSettings

KEY = "a-key-of-some-length"


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    owner = scope["state"]["owner"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": owner})


async def ask(
    guard: Guard, path: str = "/v1/models", kind: str = "http", **headers: str
) -> tuple[int, bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    given = {"host": "localhost:8000", **{k.replace("_", "-"): v for k, v in headers.items()}}
    raw = [(k.encode(), v.encode()) for k, v in given.items()]
    await guard({"type": "http", "path": path, "headers": raw, "subprotocols": []}, receive, send)
    return sent[0].get("status", 0), sent[-1].get("body", b"")


def guard(**settings: Any) -> Guard:
    return Guard(inside, ServerSettings(**settings))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1:8000",
        "127.9.9.9",
        "[::1]:8000",
        "192.168.1.2",
        "talk.example:443",
    ],
)
async def test_hosts_that_are_ours(host: str) -> None:
    assert await ask(guard(allowed_hosts=("talk.example",)), host=host) == (200, OWNER.encode())


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[", "talk.example."]
)
async def test_hosts_that_are_not(host: str) -> None:
    status, body = await ask(guard(allowed_hosts=("talk.example",)), host=host)
    assert (status, json.loads(body)["error"]["code"]) == (421, "host_not_allowed")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("http://LOCALHOST:8000", 200),
        ("https://talk.example", 200),
        ("http://localhost:9000", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("file://", 403),
        ("http://[", 403),
        ("", 403),
    ],
)
async def test_pages(origin: str, status: int) -> None:
    assert (await ask(guard(allowed_hosts=("talk.example",)), origin=origin))[0] == status


async def test_keys() -> None:
    locked = guard(api_key=SecretStr(KEY))
    assert (await ask(locked))[0] == 401
    assert (await ask(locked, authorization=KEY))[0] == 401
    assert (await ask(locked, authorization=f"Basic {KEY}"))[0] == 401
    assert (await ask(locked, authorization=f"Bearer {KEY}x"))[0] == 401
    assert await ask(locked, authorization=f"bearer {KEY}") == (200, OWNER.encode())
    assert await ask(locked, path="/healthz") == (200, b"")
    assert (await ask(locked, path="/healthz/"))[0] == 401


async def test_lifespan_passes() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing() -> Message:
        return {}

    async def nowhere(message: Message) -> None: ...

    await Guard(app, ServerSettings(api_key=SecretStr(KEY)))({"type": "lifespan"}, nothing, nowhere)
    assert seen == ["lifespan"]


def test_keys_of_browsers() -> None:
    assert key_of(Headers({}), ["realtime", f"openai-insecure-api-key.{KEY}"]) == KEY
    assert key_of(Headers({"authorization": f"Bearer {KEY}"}), ["realtime"]) == KEY
    assert key_of(Headers({}), ["realtime"]) == ""
