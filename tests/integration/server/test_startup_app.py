"""A server that answers before its models are loaded."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from kuaimei.http.refusals import Refusals
from kuaimei.people.authentication import Authentication
from kuaimei.people.keys import new_key
from kuaimei.server import static_page as pages
from kuaimei.server.app import create_app
from kuaimei.server.serve import make_server
from kuaimei.server.startup_app import StartupApp
from tests.support.server.app_server import (
    KEY,
    InMemoryRuntime,
    MemoryArchive,
    Served,
    eventually,
    make_settings,
)
from tests.support.server.realtime_client import talking


async def test_from_loading_to_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>chat room")
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    runtime = InMemoryRuntime()
    door = StartupApp(runtime.settings, expecting=("asr", "tts"))
    server = make_server(door, runtime.settings.server)
    serving = asyncio.ensure_future(server.serve())
    await eventually(lambda: server.started)
    served = Served(runtime, server.servers[0].sockets[0].getsockname()[1])
    async with httpx.AsyncClient(base_url=served.url) as http:
        assert "chat room" in (await http.get("/")).text
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).status_code == 503
        status = (await http.get("/api/status")).json()
        assert (status["status"], status["progress"], status["loading"]) == ("loading", 0.0, ["asr", "tts"])
        door.progress("store")
        door.progress("tts")
        status = (await http.get("/api/status")).json()
        assert (status["progress"], status["loading"]) == (0.5, ["asr"])
        for method, path in (
            ("GET", "/v1/models"),
            ("POST", "/v1/audio/speech"),
            ("DELETE", "/api/sessions/x"),
        ):
            answer = await http.request(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "loading")
            assert answer.headers["retry-after"]
        foreign = await http.get("/api/status", headers={"Origin": "https://evil.example"})
        assert foreign.status_code == 403
        async with connect(served.socket_url) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013
        async with door.opened(create_app(runtime)):
            assert (await http.get("/api/status")).json()["status"] == "ready"
            assert "chat room" in (await http.get("/")).text
            async with talking(served) as talk:
                await talk.ask()
                await talk.until("response.done")
            server.should_exit = True
            await serving


async def test_a_key_is_demanded_while_loading_too() -> None:
    settings = make_settings(key=KEY)
    door = StartupApp(settings)
    server = make_server(door, settings.server)
    serving = asyncio.ensure_future(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert (await http.get("/api/status")).status_code == 401
        answer = await http.get("/api/status", headers={"Authorization": f"Bearer {KEY}"})
        assert json.loads(answer.text)["progress"] is None
    server.should_exit = True
    await serving


async def test_whose_key_it_is_is_known_when_the_store_is_open() -> None:
    """Until then a key that may be somebody's hears that the server is loading, and nothing else."""
    settings, archive, machine = make_settings(open=False), MemoryArchive(), new_key()
    key = await archive.keys.give(await archive.people.add("anna"))
    authentication, refusals = Authentication(settings.server, machine), Refusals()
    loading = StartupApp(settings, expecting=("llm",), authentication=authentication, refusals=refusals)
    server = make_server(loading, settings.server)
    serving = asyncio.ensure_future(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    nobodys = new_key()

    async def answered(http: httpx.AsyncClient, path: str) -> list[int]:
        """Without a key; with the machine's own, Anna's, one that is nobody's, and one that cannot be."""
        shown = [{}, *({"Authorization": f"Bearer {one}"} for one in (machine, key, nobodys, "none"))]
        return [(await http.get(path, headers=headers)).status_code for headers in shown]

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert await answered(http, "/api/status") == [401, 200, 200, 200, 401]
        assert await answered(http, "/api/me") == [401, 503, 503, 503, 401]
        told = await http.get("/api/status", headers={"Authorization": f"Bearer {nobodys}"})
        assert set(told.json()) == {"object", "status", "version", "progress", "ready", "loading"}
        app = create_app(
            InMemoryRuntime(settings=settings, store=archive),
            authentication=authentication,
            refusals=refusals,
        )
        async with loading.opened(app):
            assert await answered(http, "/api/me") == [401, 200, 200, 401, 401]
            counted = (await http.get("/metrics", headers={"Authorization": f"Bearer {machine}"})).text
            assert 'kuaimei_refused_total{reason="wrong_key"} 4.0' in counted
            server.should_exit = True
            await serving
