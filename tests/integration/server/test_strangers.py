"""What somebody without a key cannot do to those who are talking."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kuaimei.audio.pcm import ASR_RATE
from kuaimei.server.app import create_app
from kuaimei.server.serve import make_server
from kuaimei.server.startup_app import StartupApp
from kuaimei.settings import Settings
from kuaimei.store.rows import Health
from tests.support.fakes import said, silence
from tests.support.routes import routes_of
from tests.support.server.app_server import (
    KEY,
    InMemoryRuntime,
    MemoryArchive,
    eventually,
    make_settings,
    serving,
)
from tests.support.server.realtime_client import b64, wire
from tests.support.server.whole_server import Whole, whole

KEYED = {"Authorization": f"Bearer {KEY}"}
SPOKEN = said("一二三四五六七")


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[Whole]:
    server = settings.server.model_copy(update={"api_key": SecretStr(KEY), "max_connections": 200})
    async with whole(settings.model_copy(update={"server": server})) as served:
        yield served


@asynccontextmanager
async def sockets(port: int, count: int, first: bytes = b"") -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections that have sent ``first`` and nothing else."""
    readers: list[asyncio.StreamReader] = []
    async with AsyncExitStack() as stack:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            readers.append(reader)
            if first:
                writer.write(first)
        yield readers


async def speak(served: Whole) -> None:
    """A conversation of some turns; of what was said every sample is kept."""
    async with connect(
        served.socket_url, additional_headers=KEYED, max_size=None, max_queue=None, compression=None
    ) as socket:
        session = json.loads(await socket.recv())["session"]["id"]
        for _ in range(3):
            data = wire(silence(300), SPOKEN, silence(1500))
            for start in range(0, len(data), 9600):
                audio = b64(data[start : start + 9600])
                await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            async with asyncio.timeout(60):
                while json.loads(await socket.recv())["type"] != "response.done":
                    pass
    assert await served.store.flush(60)
    heard = [one for one in await served.store.utterances(session) if one.speaker == "user"]
    assert len(heard) == 3
    for one in heard:
        assert one.state == "stored"
        assert one.duration_ms is not None
        assert one.duration_ms >= len(SPOKEN) * 1000 / ASR_RATE
    statistics = await served.store.statistics()
    assert (statistics.unsaved, statistics.lost_bytes) == (0, 0)


async def test_a_thousand_silent_sockets_take_nobody_anything(served: Whole) -> None:
    async with sockets(served.port, 1100) as readers:
        await speak(served)
        assert len(served.registry) <= 200
        # Those that were closed hear of it.
        assert sum(reader.at_eof() or reader.exception() is not None for reader in readers) > 800


async def test_a_thousand_half_requests_take_nobody_anything(served: Whole) -> None:
    async with sockets(served.port, 1100, b"GET / HTTP/1.1\r\nhost: x\r\n"):
        await speak(served)


async def test_hundreds_who_ask_whether_it_is_ready_take_nobody_anything(served: Whole) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(base_url=served.url) as stranger:
            while True:
                assert (await stranger.get("/readyz")).status_code == 200

    asking = [asyncio.ensure_future(ask()) for _ in range(40)]
    try:
        await speak(served)
        async with httpx.AsyncClient(base_url=served.url, headers=KEYED) as client:
            assert (await client.get("/api/sessions")).status_code == 200
    finally:
        assert not [task for task in asking if task.done()]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def test_headers_without_end_are_cut_off(served: Whole) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")
    sent = 0
    try:
        async with asyncio.timeout(30):
            while True:
                writer.write(b"a: " + b"b" * 65_536 + b"\r\n")
                sent += 65_536
                await writer.drain()
    except ConnectionError:
        pass
    assert sent < 20_000_000  # what the kernel holds in between
    writer.close()


@dataclass
class Asked(MemoryArchive):
    """Counts how often it is asked how it is, and at once; each time that takes a while."""

    asked: int = 0
    asking: int = 0
    at_once: int = 0
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    async def health(self) -> Health:
        self.asked += 1
        self.asking += 1
        self.at_once = max(self.at_once, self.asking)
        await self.answered.wait()
        self.asking -= 1
        return await super().health()


async def test_all_who_ask_at_once_get_one_answer() -> None:
    archive = Asked()
    async with (
        serving(InMemoryRuntime(store=archive)) as served,
        httpx.AsyncClient(base_url=served.url, limits=httpx.Limits(max_connections=100)) as http,
    ):
        asking = [asyncio.ensure_future(http.get("/readyz")) for _ in range(200)]
        await eventually(lambda: archive.asked > 0)
        asking[0].cancel()  # who leaves takes the answer from nobody
        archive.answered.set()
        answers = await asyncio.gather(*asking[1:])
        assert {answer.status_code for answer in answers} == {200}
        assert archive.at_once == 1


async def test_every_answer_says_how_it_may_be_used() -> None:
    archive = MemoryArchive()
    archive.put("sess_a", "你好", "嗨", sound=b"x" * 100)
    async with serving(InMemoryRuntime(settings=make_settings(key=KEY), store=archive)) as served:
        paths = {(route.method, route.path) for route in routes_of(create_app(served.runtime))}
        async with httpx.AsyncClient(base_url=served.url) as http:
            for method, path in sorted(paths):
                for headers in ({}, KEYED, {"Origin": "https://evil.example"}, {"Host": "evil.example"}):
                    path = path.replace("{session}", "sess_a").replace("{utterance}", "utt_sess_a_0")
                    answer = await http.request(method, path, headers=headers)
                    assert answer.headers["x-content-type-options"] == "nosniff", (method, path)
                    assert answer.headers["cross-origin-resource-policy"] == "same-origin", (method, path)
                    if path.startswith(("/api", "/v1", "/metrics")):
                        kept = answer.headers["cache-control"]
                        sound = path.endswith("/audio") and answer.status_code == 200
                        assert ("no-cache" if sound else "no-store") in kept, (method, path, kept)
            missing = await http.get("/nothing")
            assert missing.headers["x-content-type-options"] == "nosniff"


async def test_what_was_deleted_is_not_played_again() -> None:
    """A browser may keep the sound, but asks each time; and then it is gone."""
    archive = MemoryArchive()
    archive.put("sess_a", "你好", sound=b"x" * 100)
    async with (
        serving(InMemoryRuntime(store=archive)) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        path = "/api/recordings/utt_sess_a_0/audio"
        first = await http.get(path)
        again = await http.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304
        await http.delete("/api/recordings/utt_sess_a_0")
        gone = await http.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert gone.status_code == 404


async def test_while_loading_only_known_hosts_and_origins_are_let_in() -> None:
    settings = make_settings(key=KEY)
    server = make_server(StartupApp(settings), settings.server)
    running = asyncio.ensure_future(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        url = f"ws://127.0.0.1:{port}/v1/realtime"
        for status, more in (
            (401, {}),
            (403, {"origin": "https://evil.example", "additional_headers": KEYED}),
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(url, **more):  # type: ignore[arg-type]
                    pass
            assert refused.value.response.status_code == status
        rebound = f"ws://evil.example:{port}/v1/realtime"
        with pytest.raises(InvalidStatus) as refused:
            async with connect(rebound, host="127.0.0.1", additional_headers=KEYED):
                pass
        assert refused.value.response.status_code == 421
    finally:
        server.should_exit = True
        await running
