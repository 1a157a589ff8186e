"""The far synthesiser against a real HTTP server on loopback that speaks the dialect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

from kuaimei.audio.pcm import EMPTY, Pcm, to_bytes
from kuaimei.engines.protocols import Synthesizer
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.types import TTSReq
from kuaimei.errors import EngineError, EngineUnavailable, SettingsError
from kuaimei.models.source import EngineSource
from kuaimei.settings import EngineSettings, Settings

RATE = 24_000


def tone(seconds: float = 0.5) -> Pcm:
    t = np.arange(int(seconds * RATE)) / RATE
    return (5000 * np.sin(2 * np.pi * 220 * t)).astype(np.int16)


class Server:
    """Answers with half a second of tone between silences, in odd pieces; keeps what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.models = ["tts-1", "other"]
        self.asked: list[dict[str, Any]] = []
        self.breaks_off = False
        self.first_sent = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.app = FastAPI()
        self.app.get("/v1/models")(self._list)
        self.app.post("/v1/audio/speech")(self._speak)
        self.url = ""

    async def _list(self) -> dict[str, object]:
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "us"} for name in self.models]
        return {"object": "list", "data": data}

    async def _speak(self, request: Request) -> StreamingResponse:
        self.asked.append(await request.json())
        if self.status != 200:
            raise HTTPException(self.status, "no")
        return StreamingResponse(self._sound(), media_type="audio/pcm")

    async def _sound(self) -> AsyncIterator[bytes]:
        quiet = np.zeros(RATE // 2, np.int16)
        data = to_bytes(np.concatenate([quiet, tone(), quiet]))
        middle = len(data) // 2 + 1
        for start in range(0, middle, 4001):
            yield data[start : min(middle, start + 4001)]
        self.first_sent.set()
        await self.go_on.wait()
        if self.breaks_off:
            raise ConnectionResetError
        yield data[middle:]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    config = uvicorn.Config(server.app, port=0, log_level="critical", lifespan="off", ws="none")
    running = uvicorn.Server(config)
    socket = config.bind_socket()
    server.url = f"http://127.0.0.1:{socket.getsockname()[1]}/v1"
    task = asyncio.ensure_future(running.serve([socket]))
    yield server
    server.go_on.set()
    running.should_exit = True
    await task


@asynccontextmanager
async def opened(url: str, tmp_path: Path, **engines: Any) -> AsyncIterator[Synthesizer]:
    engine_context = EngineContext(
        Settings(home=tmp_path, engines=EngineSettings(**engines)), Scheduler("cores", 2)
    )
    async with open_synthesizer(engine_context, EngineSource("tts", url, "openai", url=url)) as synthesizer:
        yield synthesizer


async def spoken(synthesizer: Synthesizer, **req: Any) -> Pcm:
    parts = [pcm async for pcm in synthesizer.stream(TTSReq(text="你好。", **req))]
    return np.concatenate([EMPTY, *parts])


async def test_a_clause_comes_back_trimmed(server: Server, tmp_path: Path) -> None:
    async with opened(server.url, tmp_path) as synthesizer:
        assert (synthesizer.sample_rate, synthesizer.voices) == (RATE, ("alloy",))
        pcm = await spoken(synthesizer, speed=1.25)
    assert len(pcm) / RATE == pytest.approx(0.59, abs=0.011)
    middle = pcm[len(pcm) // 2 - 2400 : len(pcm) // 2 + 2400].astype(int)
    assert np.abs(middle).max() == pytest.approx(5000, abs=10)
    assert np.abs(np.diff(middle)).max() < 300, "odd pieces on the wire do not shear the samples"
    (asked,) = server.asked
    assert asked == {
        "model": "tts-1",
        "voice": "alloy",
        "input": "你好。",
        "response_format": "pcm",
        "speed": 1.25,
    }


async def test_sound_is_passed_on_while_it_arrives(server: Server, tmp_path: Path) -> None:
    server.go_on.clear()
    async with (
        opened(server.url, tmp_path) as synthesizer,
        aclosing(synthesizer.stream(TTSReq(text="你好。"))) as stream,  # type: ignore[type-var]
    ):
        assert len(await anext(stream))
        assert not server.go_on.is_set()


async def test_model_and_voice_are_as_set(server: Server, tmp_path: Path) -> None:
    async with opened(
        server.url, tmp_path, tts_remote_model="mine", tts_remote_voices=("nova", "echo")
    ) as synthesizer:
        await spoken(synthesizer, voice_id="echo")
        with pytest.raises(EngineError, match="nova, echo"):
            await spoken(synthesizer, voice_id="alloy")
    assert [(asked["model"], asked["voice"]) for asked in server.asked] == [("mine", "echo")]


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (400, EngineError, "rejected the request"),
        (401, EngineError, "KUAIMEI_ENGINES__REMOTE_KEY"),
        (503, EngineUnavailable, "no capacity"),
    ],
)
async def test_refusals_are_told_apart_and_the_next_request_works(
    server: Server, tmp_path: Path, status: int, error: type[Exception], said: str
) -> None:
    server.status = status
    async with opened(server.url, tmp_path) as synthesizer:
        with pytest.raises(error, match=said):
            await spoken(synthesizer)
        server.status = 200
        assert len(await spoken(synthesizer))


async def test_a_server_that_breaks_off_is_unavailable(server: Server, tmp_path: Path) -> None:
    server.breaks_off = True
    async with opened(server.url, tmp_path) as synthesizer:
        with pytest.raises(EngineUnavailable, match="closed the connection"):
            await spoken(synthesizer)


async def test_a_server_that_is_down_is_unavailable(tmp_path: Path) -> None:
    async with opened("http://127.0.0.1:9/v1", tmp_path) as synthesizer:
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            await spoken(synthesizer)


async def test_without_a_voice_there_is_no_far_synthesiser(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TTS_REMOTE_VOICES"):
        async with opened(server.url, tmp_path, tts_remote_voices=()):
            pass


async def test_its_queue_can_be_watched(server: Server, tmp_path: Path) -> None:
    async with opened(server.url, tmp_path) as synthesizer:
        assert isinstance(getattr(synthesizer, "scheduler", None), Scheduler)
