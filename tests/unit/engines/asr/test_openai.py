"""The far recogniser against a real HTTP server on loopback that speaks the dialect."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI, Form, HTTPException, Response, UploadFile

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.asr import open_recognizer
from kuaimei.engines.protocols import Recognizer
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Priority, STTReq, Ticket
from kuaimei.errors import EngineError, EngineUnavailable, QueueFull, SettingsError
from kuaimei.models.source import EngineSource
from kuaimei.settings import EngineSettings, Settings


class Server:
    """Answers with ``text`` or ``status``; keeps the forms it got."""

    def __init__(self) -> None:
        self.text = "今天天气很好,我们出门吧."
        self.status = 200
        self.models = ["whisper-large", "other"]
        self.forms: list[dict[str, object]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.arrived = asyncio.Event()
        self.app = FastAPI()
        self.app.get("/v1/models")(self._list)
        self.app.post("/v1/audio/transcriptions")(self._transcribe)
        self.url = ""

    async def _list(self) -> dict[str, object]:
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "us"} for name in self.models]
        return {"object": "list", "data": data}

    async def _transcribe(
        self,
        file: UploadFile,
        model: Annotated[str, Form()],
        language: Annotated[str | None, Form()] = None,
        prompt: Annotated[str | None, Form()] = None,
    ) -> Response:
        with wave.open(io.BytesIO(await file.read())) as sound:
            shape = sound.getnchannels(), sound.getframerate(), sound.getnframes()
        self.forms.append({"model": model, "language": language, "prompt": prompt, "sound": shape})
        self.arrived.set()
        await self.hold.wait()
        if self.status != 200:
            raise HTTPException(self.status, "no")
        return Response(content=f'{{"text": "{self.text}"}}', media_type="application/json")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    config = uvicorn.Config(server.app, port=0, log_level="error", lifespan="off", ws="none")
    running = uvicorn.Server(config)
    socket = config.bind_socket()
    server.url = f"http://127.0.0.1:{socket.getsockname()[1]}/v1"
    task = asyncio.ensure_future(running.serve([socket]))
    yield server
    server.hold.set()
    running.should_exit = True
    await task


def tone(seconds: float = 1.0) -> Pcm:
    t = np.arange(int(seconds * 16_000)) / 16_000
    return (5000 * np.sin(2 * np.pi * 220 * t)).astype(np.int16)


@asynccontextmanager
async def opened(url: str, tmp_path: Path, **engines: Any) -> AsyncIterator[Recognizer]:
    engine_context = EngineContext(
        Settings(home=tmp_path, engines=EngineSettings(**engines)), Scheduler("cores", 2)
    )
    async with open_recognizer(engine_context, EngineSource("asr", url, "openai", url=url)) as recognizer:
        yield recognizer


async def test_an_utterance_goes_there_as_wav_and_comes_back_as_shown(server: Server, tmp_path: Path) -> None:
    async with opened(server.url, tmp_path) as recognizer:
        chunk = await recognizer.transcribe(
            tone(1.5), STTReq(language="zh", hotwords=("快美",), prompt="前文")
        )
    assert chunk.text == "今天天氣很好，我們出門吧。"
    assert (chunk.language, chunk.end_ms, chunk.is_final) == ("zh", 1500.0, True)
    assert server.forms == [
        {"model": "whisper-large", "language": "zh", "prompt": "快美 前文", "sound": (1, 16_000, 24_000)}
    ]


async def test_what_is_not_known_is_not_sent_and_the_model_is_as_set(server: Server, tmp_path: Path) -> None:
    server.text = "Some call me nature."
    async with opened(server.url, tmp_path, asr_remote_model="mine") as recognizer:
        chunk = await recognizer.transcribe(tone(), STTReq())
    assert (chunk.text, chunk.language) == ("Some call me nature.", "en")
    assert server.forms[0] | {"sound": None} == {
        "model": "mine",
        "language": None,
        "prompt": None,
        "sound": None,
    }


async def test_silence_is_not_sent(server: Server, tmp_path: Path) -> None:
    async with opened(server.url, tmp_path) as recognizer:
        assert (await recognizer.transcribe(np.zeros(16_000, np.int16), STTReq())).text == ""
    assert server.forms == []


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
    async with opened(server.url, tmp_path) as recognizer:
        with pytest.raises(error, match=said):
            await recognizer.transcribe(tone(), STTReq())
        server.status = 200
        assert (await recognizer.transcribe(tone(), STTReq())).text


async def test_a_server_that_is_down_does_not_keep_the_server_from_opening(tmp_path: Path) -> None:
    async with opened("http://127.0.0.1:9/v1", tmp_path) as recognizer:
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            await recognizer.transcribe(tone(), STTReq())


async def test_a_server_without_models_is_a_matter_of_settings(server: Server, tmp_path: Path) -> None:
    server.models = []
    with pytest.raises(SettingsError, match="ASR_REMOTE_MODEL"):
        async with opened(server.url, tmp_path):
            pass


async def test_only_as_many_requests_at_once_as_allowed(server: Server, tmp_path: Path) -> None:
    server.hold.clear()
    async with opened(server.url, tmp_path, remote_concurrency=1) as recognizer:
        first = asyncio.ensure_future(recognizer.transcribe(tone(), STTReq()))
        await server.arrived.wait()
        past = Ticket(priority=Priority.LIVE, deadline=asyncio.get_running_loop().time())
        with pytest.raises(QueueFull):
            await recognizer.transcribe(tone(), STTReq(ticket=past))
        server.hold.set()
        assert (await first).text


async def test_its_queue_can_be_watched(server: Server, tmp_path: Path) -> None:
    async with opened(server.url, tmp_path) as recognizer:
        assert isinstance(getattr(recognizer, "scheduler", None), Scheduler)
