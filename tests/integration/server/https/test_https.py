"""HTTPS as clients meet it: they trust the authority and nothing else, over HTTP, WebSocket and a renewal."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate
from websockets.asyncio.client import connect
from websockets.typing import Origin

from kuaimei.errors import SettingsError
from kuaimei.http.bind import bind_socket
from kuaimei.server.app import create_app
from kuaimei.server.https.certificate import ServerCertificate
from kuaimei.server.https.hostnames import Names, names_of
from kuaimei.server.https.serve import Https, open_https, with_own_names
from kuaimei.server.serve import make_server
from kuaimei.server.startup_app import StartupApp
from kuaimei.settings import Settings
from tests.support.server.app_server import KEY, InMemoryRuntime, eventually, make_settings

_SECRETS = (b"PRIVATE KEY",)


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a name that leads to it."""
    monkeypatch.setattr(socket, "gethostname", lambda: "box")


@asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[tuple[Https, int, StartupApp]]:
    """As ``kuaimei serve`` does it, before there is anything behind it."""
    settings = with_own_names(settings)
    with bind_socket(settings.server) as listening:
        async with open_https(settings, listening) as secure:
            door = StartupApp(settings)
            server = make_server(door, settings.server, secure.context)
            running = asyncio.ensure_future(server.serve(sockets=[listening.dup()]))
            await eventually(lambda: server.started or running.done())
            try:
                yield secure, listening.getsockname()[1], door
            finally:
                server.should_exit = True
                await running


def _settings(home: Path, **server: Any) -> Settings:
    return make_settings(home=home, **{"https": True, **server})


async def _trusting(secure: Https) -> ssl.SSLContext:
    """What a device does that installs the certificate."""
    async with httpx.AsyncClient() as http:
        pem = (await http.get(_here(secure.pages[0], "/kuaimei.pem"))).text
    return ssl.create_default_context(cadata=pem)


def _here(address: str, path: str = "") -> str:
    """The same port on this machine, whatever name it was given under."""
    return f"http://127.0.0.1:{address.rsplit(':', 1)[1]}{path}"


async def test_a_device_that_has_the_certificate_connects_and_no_other(tmp_path: Path) -> None:
    async with _serving(_settings(tmp_path)) as (secure, port, door):
        context = await _trusting(secure)
        async with httpx.AsyncClient(verify=context, base_url=f"https://localhost:{port}") as http:
            assert (await http.get("/api/status")).json()["status"] == "loading"
            async with door.opened(create_app(InMemoryRuntime(settings=_settings(tmp_path)))):
                answer = await http.get("/api/status")
                assert answer.json()["status"] == "ready"
                assert (
                    "strict-transport-security" not in answer.headers
                )  # it would hide the page on the next port
                own = {"Origin": f"https://localhost:{port}"}
                assert (await http.get("/api/status", headers=own)).status_code == 200
        async with httpx.AsyncClient() as stranger:
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await stranger.get(f"https://localhost:{port}/healthz")
            with pytest.raises(httpx.HTTPError):
                await stranger.get(f"http://localhost:{port}/healthz")


async def test_a_conversation_goes_over_tls(tmp_path: Path) -> None:
    async with _serving(_settings(tmp_path)) as (secure, port, door):
        context = await _trusting(secure)
        runtime = InMemoryRuntime(settings=_settings(tmp_path))
        async with (
            door.opened(create_app(runtime)),
            connect(
                f"wss://localhost:{port}/v1/realtime", ssl=context, origin=Origin(f"https://localhost:{port}")
            ) as talk,
        ):
            assert "session.created" in str(await talk.recv())
            assert talk.transport.get_extra_info("ssl_object").version() == "TLSv1.3"


async def test_beyond_loopback_it_may_be_asked_for_by_the_names_it_vouches_for(tmp_path: Path) -> None:
    settings = _settings(tmp_path, host="0.0.0.0", key=KEY)
    async with _serving(settings) as (secure, port, _):
        context = await _trusting(secure)
        assert secure.addresses[0] == f"https://box.local:{port}"
        assert not any("localhost" in address or "127.0.0.1" in address for address in secure.addresses)
        for name, status in (("box.local", 200), ("box", 200), ("elsewhere.local", 421)):
            async with httpx.AsyncClient(verify=context) as http:
                answer = await http.get(
                    f"https://127.0.0.1:{port}/api/status",
                    headers={"Host": f"{name}:{port}", "Authorization": f"Bearer {KEY}"},
                    extensions={"sni_hostname": "box.local"},
                )
                assert answer.status_code == status, name


async def test_a_renewal_is_shown_to_whoever_connects_next_and_disturbs_nobody(tmp_path: Path) -> None:
    wanted = names_of(_settings(tmp_path).server)
    certificate = ServerCertificate(tmp_path / "https", lambda: wanted)
    settings = _settings(tmp_path)
    door = StartupApp(settings)
    with bind_socket(settings.server) as listening:
        port = listening.getsockname()[1]
        server = make_server(door, settings.server, certificate.context)
        running = asyncio.ensure_future(server.serve(sockets=[listening.dup()]))
        await eventually(lambda: server.started or running.done())
        pem = certificate.authority.certificate.public_bytes(Encoding.PEM).decode()
        context = ssl.create_default_context(cadata=pem)
        async with (
            door.opened(create_app(InMemoryRuntime(settings=settings))),
            connect(f"wss://localhost:{port}/v1/realtime", ssl=context) as talk,
        ):
            await talk.recv()
            before = await _shown(port, context)
            wanted = Names((*wanted.hosts, "box.local"), wanted.addresses)
            assert await certificate.renew()
            assert not await certificate.renew()
            assert await _shown(port, context, "box.local") != before
            await talk.ping()
            await talk.send('{"type": "session.update", "session": {"type": "realtime"}}')
            assert "session.updated" in str(await talk.recv())
        server.should_exit = True
        await running


async def _shown(port: int, context: ssl.SSLContext, name: str = "localhost") -> bytes:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    await writer.wait_closed()
    return shown


async def test_the_page_gives_the_certificate_and_nothing_else(tmp_path: Path) -> None:
    async with (
        _serving(_settings(tmp_path, key=KEY)) as (secure, port, _),
        httpx.AsyncClient(base_url=_here(secure.pages[0])) as http,
    ):
        page = await http.get("/")
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert f"https://localhost:{port}" in page.text
        assert secure.fingerprint in page.text
        der = await http.get("/kuaimei.crt")
        certificate = load_der_x509_certificate(der.content)
        assert certificate.fingerprint(hashes.SHA256()).hex(":").upper() == secure.fingerprint
        assert der.headers["content-type"] == "application/x-x509-ca-cert"
        assert load_pem_x509_certificate((await http.get("/kuaimei.pem")).content) == certificate
        apple = await http.get("/kuaimei.mobileconfig")
        assert apple.headers["content-type"] == "application/x-apple-aspen-config"
        for path in ("/", "/kuaimei.crt", "/kuaimei.pem", "/kuaimei.mobileconfig"):
            body = (await http.get(path)).content
            assert not any(secret in body for secret in _SECRETS)
            head = await http.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == str(len(body))
        for path in ("/api/status", "/v1/models", "/healthz", "/metrics", "/authority.pem", "/../server.pem"):
            assert (await http.get(path)).status_code == 404
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert (await http.request(method, "/")).status_code == 405
        with pytest.raises(Exception, match=r"HTTP 403|rejected"):
            await connect(f"ws://127.0.0.1:{secure.pages[0].rsplit(':', 1)[1]}/v1/realtime")


async def test_the_page_may_be_left_out_or_put_elsewhere(tmp_path: Path) -> None:
    async with _serving(_settings(tmp_path, certificate_port=0)) as (secure, _, _door):
        assert secure.pages == ()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match="KUAIMEI_SERVER__CERTIFICATE_PORT"):
            async with _serving(_settings(tmp_path, certificate_port=port)):
                pass
    async with _serving(_settings(tmp_path, certificate_port=port)) as (secure, _, _door):
        assert secure.pages[0] == f"http://localhost:{port}"
    # Afterwards the port is free again.
    socket.create_server(("127.0.0.1", port)).close()


async def test_after_a_restart_devices_need_nothing_new(tmp_path: Path) -> None:
    async with _serving(_settings(tmp_path)) as (secure, _, _door):
        context = await _trusting(secure)
        first = secure.fingerprint
    async with _serving(_settings(tmp_path)) as (secure, port, _door):
        assert secure.fingerprint == first
        async with httpx.AsyncClient(verify=context) as http:
            assert (await http.get(f"https://127.0.0.1:{port}/healthz")).status_code == 200


def _files(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.rglob("*")


async def test_nobody_else_may_look_into_the_folder(tmp_path: Path) -> None:
    async with _serving(_settings(tmp_path)):
        found = list(_files(tmp_path / "https"))
        assert len(found) == 3
        assert [path for path in found if path.stat().st_mode & 0o077] == []
