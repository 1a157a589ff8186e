"""Nobody computes for a client that has gone: its place in the queue is free again at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import LLMReq, STTChunk, STTReq, Ticket, TTSReq
from kuaimei.http.bind import ManagedServer
from kuaimei.http.connection_limits import connection_registry
from kuaimei.http.uvicorn_http import HttpConfig
from kuaimei.settings import ServerSettings, Settings
from kuaimei.workers.app import create_worker
from kuaimei.workers.reference_store import ReferenceStore
from kuaimei.workers.types import EngineRequest, EngineSpec, Licence, Options
from kuaimei.workers.worker import ModelHost
from tests.support.fakes import FakeLanguageModel, FakeRecognizer, FakeSynthesizer, said
from tests.support.server.app_server import InMemoryRuntime, eventually, quick_engines, serving
from tests.support.voices.running_library import audio, living

PATIENCE_S = 60.0


@dataclass
class Hang:
    """One request at a time computes, for ever."""

    scheduler: Scheduler = field(default_factory=lambda: Scheduler("hanging"))
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def compute(self, ticket: Ticket) -> None:
        async with self.scheduler.acquire(ticket):
            self.begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.ended.set()


@dataclass
class Recognizer(FakeRecognizer):
    hang: Hang = field(default_factory=Hang)

    async def transcribe(self, pcm: Pcm, req: STTReq) -> STTChunk:
        await self.hang.compute(req.ticket)
        raise AssertionError


@dataclass
class Model(FakeLanguageModel):
    """Attributes:
    words: Written before it computes for ever.
    """

    hang: Hang = field(default_factory=Hang)
    words: tuple[str, ...] = ()

    async def stream(self, req: LLMReq) -> AsyncIterator[str]:
        for word in self.words:
            yield word
        await self.hang.compute(req.ticket)


@dataclass
class Synthesizer(FakeSynthesizer):
    """Attributes:
    pieces_first: Spoken before it computes for ever.
    """

    hang: Hang = field(default_factory=Hang)
    pieces_first: int = 0

    async def stream(self, req: TTSReq) -> AsyncIterator[Pcm]:
        for _ in range(self.pieces_first):
            yield self.audio("好" * 20)
        await self.hang.compute(req.ticket)


async def leave(port: int, request: bytes, hang: Hang, *, read: bool = False) -> None:
    """Ask, wait until somebody computes (and, if need be, the first words are there), and go."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(PATIENCE_S):
        await hang.begun.wait()
        if read:
            await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    async with asyncio.timeout(PATIENCE_S):
        await hang.ended.wait()
    await eventually(lambda: hang.scheduler.busy == hang.scheduler.depth == 0)


def post(path: str, body: Any) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


def form(path: str, file: bytes, **fields: str) -> bytes:
    parts = [
        f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    parts.append(
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.flac"\r\n\r\n'
        + file
        + b"\r\n--b--\r\n"
    )
    data = b"".join(parts)
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=b\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


RECORDING = encode(said("一二三四五六七"), ASR_RATE, "flac")


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_transcribing(stream: str) -> None:
    recognizer = Recognizer()
    async with serving(InMemoryRuntime(engines=quick_engines(recognizer=recognizer))) as served:
        request = form("/v1/audio/transcriptions", RECORDING, stream=stream)
        await leave(served.port, request, recognizer.hang)
        await next_one(served.port, request, recognizer.hang)


async def next_one(port: int, request: bytes, hang: Hang) -> None:
    """The gate has a place again, many times more often than it has places."""
    for _ in range(20):
        hang.begun.clear()
        hang.ended.clear()
        await leave(port, request, hang)


@pytest.mark.parametrize("words", [(), ("好",)])
@pytest.mark.parametrize("stream", [False, True])
async def test_writing(stream: bool, words: tuple[str, ...]) -> None:
    model = Model(words=words)
    async with serving(InMemoryRuntime(engines=quick_engines(language_model=model))) as served:
        body = {"messages": [{"role": "user", "content": "好"}], "stream": stream}
        request = post("/v1/chat/completions", body)
        await leave(served.port, request, model.hang, read=stream and bool(words))


@pytest.mark.parametrize("pieces", [0, 3])
@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_speaking(stream_format: str, pieces: int) -> None:
    synthesizer = Synthesizer(pieces_first=pieces)
    async with serving(InMemoryRuntime(engines=quick_engines(synthesizer=synthesizer))) as served:
        body = {"input": "好", "response_format": "pcm", "stream_format": stream_format}
        await leave(served.port, post("/v1/audio/speech", body), synthesizer.hang, read=pieces > 0)


async def test_cloning(settings: Settings) -> None:
    async with living(settings, learn="none") as runtime:
        recognizer = Recognizer()
        runtime.library.context.examiner._recognizer = recognizer
        room = runtime.library.context
        engines = quick_engines(synthesizer=runtime.bank)
        test_server = InMemoryRuntime(settings=room.settings, engines=engines, voices=runtime.library)
        async with serving(test_server) as served:
            fields = {
                "name": "美",
                "consent_speaker": "美",
                "consent_statement": "可以",
                "transcript": "今天",
            }
            request = form("/api/voices", audio(2.0, 2.5, 3.0), **fields)
            await leave(served.port, request, recognizer.hang)
            await next_one(served.port, request, recognizer.hang)
            assert not await runtime.library.voices("local")


async def test_speaking_in_a_worker(tmp_path: Path) -> None:
    hang = Hang()

    class Speaker:
        sample_rate = 24_000
        voices = ("one",)

        async def stream(self, speech: EngineRequest) -> AsyncIterator[Pcm]:
            yield said("好")
            await hang.compute(speech.ticket)

    @asynccontextmanager
    async def opened(options: Options) -> AsyncIterator[Speaker]:
        yield Speaker()

    card = EngineSpec("test", "", Licence("MIT", "MIT", True, ""), {"fast": opened}, 1.0)
    server = ServerSettings(port=0)
    app = create_worker(ModelHost(card, Options(Settings())), ReferenceStore(tmp_path), server)
    config = HttpConfig(app, connection_registry(server), port=0, ws="none", log_level="warning")
    running = ManagedServer(config)
    serve = asyncio.ensure_future(running.serve())
    await eventually(lambda: running.started)
    port = running.servers[0].sockets[0].getsockname()[1]
    try:
        for stream in (True, False):
            hang.begun.clear()
            hang.ended.clear()
            body = {"input": "好", "response_format": "pcm", "stream": stream}
            await leave(port, post("/v1/audio/speech", body), hang, read=stream)
    finally:
        running.should_exit = True
        await serve
