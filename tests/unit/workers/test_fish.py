"""Fish-Speech's adapter against a server that keeps the contract recorded from fish-speech 0.1.0."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from kuaimei.audio.encode import StreamEncoder
from kuaimei.audio.pcm import EMPTY, Pcm, to_bytes
from kuaimei.errors import EngineError, EngineUnavailable
from kuaimei.settings import Settings
from kuaimei.workers.engines.fish import CARD
from kuaimei.workers.types import EngineRequest, Options, ReferenceAudio, TTSEngine

RATE = 44_100


class ServeReferenceAudio(BaseModel):
    """Its ``fish_speech.utils.schema``: audio in base64 where the request is JSON."""

    audio: bytes
    text: str


class ServeTTSRequest(BaseModel):
    """Its ``fish_speech.utils.schema``, with no field that it does not know."""

    model_config = ConfigDict(extra="forbid")

    text: str
    chunk_length: Annotated[int, Field(ge=100, le=300, strict=True)] = 200
    format: Literal["wav", "pcm", "mp3"] = "wav"
    references: list[ServeReferenceAudio] = []
    reference_id: str | None = None
    seed: int | None = None
    use_memory_cache: Literal["on", "off"] = "off"
    normalize: bool = True
    streaming: bool = False
    max_new_tokens: int = 1024
    top_p: Annotated[float, Field(ge=0.1, le=1.0, strict=True)] = 0.8
    repetition_penalty: Annotated[float, Field(ge=0.9, le=2.0, strict=True)] = 1.1
    temperature: Annotated[float, Field(ge=0.1, le=1.0, strict=True)] = 0.8


class Server:
    def __init__(self) -> None:
        self.asked: list[ServeTTSRequest] = []
        self.full = False
        self.app = FastAPI()
        self.app.get("/v1/health")(self._health)
        self.app.post("/v1/tts")(self._speak)
        self.url = ""

    async def _health(self) -> dict[str, str]:
        return {"status": "ok"}

    async def _speak(self, request: ServeTTSRequest) -> StreamingResponse:
        self.asked.append(request)
        if self.full:
            raise HTTPException(500, "no memory")
        assert request.streaming
        assert request.format == "wav"
        return StreamingResponse(self._sound(), media_type="audio/wav")

    async def _sound(self) -> AsyncIterator[bytes]:
        encoder = StreamEncoder("wav", RATE)
        tone = (5000 * np.sin(np.arange(RATE // 2) / 30)).astype(np.int16)
        data = encoder.push(tone[:0]) or b""
        data += encoder.push(tone)
        assert data.endswith(to_bytes(tone))
        for start in range(0, len(data), 3001):
            yield data[start : start + 3001]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    config = uvicorn.Config(server.app, port=0, log_level="critical", lifespan="off", ws="none")
    running = uvicorn.Server(config)
    socket = config.bind_socket()
    server.url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    task = asyncio.ensure_future(running.serve([socket]))
    yield server
    running.should_exit = True
    await task


async def said(speaker: TTSEngine, **more: Any) -> Pcm:
    return np.concatenate(
        [EMPTY, *[pcm async for pcm in speaker.stream(EngineRequest(**{"text": "今天天氣很好。", **more}))]]
    )


async def test_it_speaks_through_its_own_server(server: Server, tmp_path: Path) -> None:
    voice = tmp_path / "reference.wav"
    await asyncio.to_thread(voice.write_bytes, b"RIFF" + bytes(400))
    options = Options(Settings(home=tmp_path), model=server.url)
    async with CARD.openers["fast"](options) as speaker:
        assert (speaker.sample_rate, speaker.voices) == (RATE, ("default",))
        pcm = await said(speaker, reference=ReferenceAudio(voice, "這是我。"), instructions="Sad")
        assert len(pcm) == RATE // 2
        assert np.abs(np.diff(pcm.astype(int))).max() < 300, "odd pieces on the wire do not shear the samples"
        with pytest.raises(EngineError, match="one emotion"):
            await said(speaker, instructions="說得悲傷一點")
        server.full = True
        with pytest.raises(EngineError, match="HTTP 500"):
            await said(speaker)
    warm, asked, _ = server.asked
    assert warm.references == []
    assert asked.text == "(sad) 今天天气很好。"
    assert (asked.references[0].text, base64.b64decode(asked.references[0].audio)[:4]) == (
        "这是我。",
        b"RIFF",
    )


async def test_without_its_server_it_says_what_to_start(tmp_path: Path) -> None:
    options = Options(Settings(home=tmp_path), model="http://127.0.0.1:9")
    with pytest.raises(EngineUnavailable, match=r"tools/api_server\.py"):
        async with CARD.openers["fast"](options):
            pass
