"""HTTPS on a LAN, as the documentation has it: the certificate that it makes, a proxy, a name, a key."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.integration.docs.blocks import blocks, run
from tests.support.server.app_server import KEY, make_settings, serving

_PAGE = "docs/how-to/https-on-a-lan.md"
_NAME = "voice.lan"


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What the proxy shows, and what a device trusts that the page's authority was installed on."""
    folder = tmp_path_factory.mktemp("certificates")
    (code,) = [code for _, code in blocks(_PAGE, "sh") if "openssl x509" in code]
    asyncio.run(run("sh", code, folder))
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(folder / "voice.crt", folder / "voice.key")
    return shown, ssl.create_default_context(cafile=str(folder / "authority.crt"))


@asynccontextmanager
async def proxy(port: int, shown: ssl.SSLContext) -> AsyncIterator[int]:
    """Ends HTTPS and hands on what is in it, unchanged, to ``port``; where it listens."""
    passing: set[asyncio.Task[None]] = set()

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        for way in (hand_on(reader, inner_writer), hand_on(inner_reader, writer)):
            task = asyncio.ensure_future(way)
            passing.add(task)
            task.add_done_callback(passing.discard)

    server = await asyncio.start_server(met, "127.0.0.1", 0, ssl=shown)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in [*passing]:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def test_by_its_name_with_a_key(trusting: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    shown, trusted = trusting
    settings = make_settings(key=KEY, allowed_hosts=(_NAME,))
    async with serving(settings=settings) as served, proxy(served.port, shown) as port:

        async def status(name: str = _NAME, origin: str = "", key: str = "") -> int:
            headers = {"Host": f"{name}:{port}"}
            headers |= {"Origin": origin} if origin else {}
            headers |= {"Authorization": f"Bearer {key}"} if key else {}
            async with httpx.AsyncClient(verify=trusted) as client:
                address = f"https://127.0.0.1:{port}/v1/models"
                answer = await client.get(address, headers=headers, extensions={"sni_hostname": _NAME})
                return answer.status_code

        own = f"https://{_NAME}:{port}"
        assert await status(key=KEY, origin=own) == 200
        assert await status(origin=own) == 401
        assert await status(name="another.lan", key=KEY) == 421
        assert await status(key=KEY, origin="https://elsewhere.example") == 403

        conversing = connect(
            f"wss://{_NAME}:{port}/v1/realtime",
            host="127.0.0.1",
            port=port,
            ssl=trusted,
            server_hostname=_NAME,
            origin=own,  # type: ignore[arg-type]
            subprotocols=["realtime", f"openai-insecure-api-key.{KEY}"],  # type: ignore[list-item]
            proxy=None,
        )
        async with conversing as socket:
            assert json.loads(await socket.recv())["type"] == "session.created"


def test_the_certificate_is_for_that_name_only(
    trusting: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async def ask(name: str) -> None:
        async with serving() as served, proxy(served.port, trusting[0]) as port:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=trusting[1], server_hostname=name
            )
            writer.close()

    asyncio.run(ask(_NAME))
    with pytest.raises(ssl.SSLCertVerificationError, match="another"):
        asyncio.run(ask("another.lan"))
