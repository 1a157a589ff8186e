"""What far engines say and are told, on a real HTTP server on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from openai import OpenAIError
from pydantic import SecretStr

from kuaimei.engines.remote import far_client, far_lane, map_openai_errors
from kuaimei.errors import EngineError
from kuaimei.models.resolve import resolve
from kuaimei.models.source import without_secrets
from kuaimei.settings import EngineSettings, Settings

SECRET = "hunter2"


@asynccontextmanager
async def answering(status: int, body: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that answers everything so; its port, and the heads of the requests it got."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        writer.write(f"{head}connection: close\r\n\r\n".encode() + body)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], heads


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"http://user:{SECRET}@box:8000/v1", "http://box:8000/v1"),
        ("http://box/v1?x=1", "http://box/v1?x=1"),
        (f"http://a@b:{SECRET}@box/v1", "http://box/v1"),
        (f"http://[{SECRET}@box/v1", "box/v1"),
        ("", ""),
    ],
)
def test_addresses_are_shown_without_what_opens_them(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_a_far_engine_is_not_named_by_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://user:{SECRET}@box:8000/v1"
    source = resolve("llm", url, Settings().weights_dir)
    assert source.url == url
    assert SECRET not in source.name + source.where
    assert SECRET not in far_lane("llm", url, 8).name
    for error in (OpenAIError(f"at {url} it broke"), ValueError(f"no JSON from {url}")):
        assert SECRET not in str(map_openai_errors(error, "the model", url))


async def test_what_a_far_server_says_is_one_short_line() -> None:
    said = ("x" * 5000 + "\\n\\u0000\\ud800").encode()
    async with answering(400, b'{"error": {"message": "' + said + b'"}}') as (port, _):
        url = f"http://user:{SECRET}@127.0.0.1:{port}/v1"
        async with far_client(EngineSettings(), url) as client:
            with pytest.raises(OpenAIError) as refused:
                await client.models.list()
            told = map_openai_errors(refused.value, "the model", str(client.base_url))
    assert isinstance(told, EngineError)
    assert len(str(told)) < 400
    assert SECRET not in str(told)
    assert str(told).isprintable()


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        answering(200, b'{"object": "list", "data": []}') as (port, heads),
        answering(200, b"{}") as (proxy, asked),
    ):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "BASE_URL", "WEBHOOK_SECRET"):
            monkeypatch.setenv(f"OPENAI_{name}", SECRET)
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Mine: {SECRET}")
        settings = EngineSettings(remote_key=SecretStr("the-key"))
        async with far_client(settings, f"http://127.0.0.1:{port}/v1") as client:
            await client.models.list()
    assert not asked
    (head,) = heads
    assert b"Bearer the-key" in head
    assert SECRET.encode() not in head
