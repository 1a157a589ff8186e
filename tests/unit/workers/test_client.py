"""The server's far synthesiser and a worker, over HTTP on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn

from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import EMPTY, Pcm
from kuaimei.engines.protocols import StyleVoiceBank, ZeroShotCloner
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts.openai import OpenAISynthesizer, open_openai
from kuaimei.engines.types import Priority, TTSReq
from kuaimei.errors import EngineError
from kuaimei.models.source import EngineSource
from kuaimei.settings import EngineSettings, ServerSettings, Settings
from kuaimei.workers.app import create_worker
from kuaimei.workers.reference_store import ReferenceStore
from kuaimei.workers.types import Options
from kuaimei.workers.worker import ModelHost
from tests.support.tone_engine import RATE, Tone

VOICE = encode((6000 * np.sin(np.arange(48_000) / 20)).astype(np.int16), 24_000, "flac")


@asynccontextmanager
async def served(references: ReferenceStore, tone: Tone, folder: Path) -> AsyncIterator[OpenAISynthesizer]:
    worker = ModelHost(tone.card(), Options(Settings(home=folder)))
    app = create_worker(worker, references, ServerSettings())
    config = uvicorn.Config(app, port=0, log_level="critical", ws="none")
    running = uvicorn.Server(config)
    socket = config.bind_socket()
    task = asyncio.ensure_future(running.serve([socket]))
    url = f"http://127.0.0.1:{socket.getsockname()[1]}/v1"
    engines = EngineSettings(tts_remote_voices=("one",), tts_remote_rate=RATE)
    try:
        engine_context = EngineContext(Settings(home=folder, engines=engines), Scheduler("cores", 2))
        async with open_openai(engine_context, EngineSource("tts", url, "openai", url=url)) as synthesizer:
            yield synthesizer
    finally:
        running.should_exit = True
        await task


async def said(synthesizer: OpenAISynthesizer, **more: Any) -> Pcm:
    parts = [pcm async for pcm in synthesizer.stream(TTSReq(text="今天天氣很好。", **more))]
    return np.concatenate([EMPTY, *parts])


async def test_a_cloned_voice_is_lent_once_and_again_when_the_worker_forgot_it(tmp_path: Path) -> None:
    tone, references = Tone(), ReferenceStore(tmp_path)
    async with served(references, tone, tmp_path) as synthesizer:
        assert isinstance(synthesizer, ZeroShotCloner)
        assert not isinstance(synthesizer, StyleVoiceBank)
        synthesizer.put_reference("voice_1", VOICE, "你好。")
        assert synthesizer.voices == ("one", "voice_1")
        await asyncio.gather(*(said(synthesizer, voice_id="voice_1") for _ in range(3)))
        (lent,) = references.ids
        references.drop(lent)
        assert len(await said(synthesizer, voice_id="voice_1", mode="hq"))
        assert list(references.ids) == [lent]
        assert len(await said(synthesizer, voice_id="one"))
        synthesizer.drop_voice("voice_1")
        synthesizer.drop_voice("voice_1")
        with pytest.raises(EngineError, match="available: one"):
            await said(synthesizer, voice_id="voice_1")
        await synthesizer.close()
        assert list(references.ids) == []
    heard = [asked.reference.transcript if asked.reference else None for asked in tone.asked]
    assert heard == ["你好。"] * 4 + [None]
    assert [asked.ticket.priority for asked in tone.asked[-2:]] == [Priority.BACKGROUND, Priority.LIVE]


async def test_a_reference_that_the_worker_refuses_is_told(tmp_path: Path) -> None:
    async with served(ReferenceStore(tmp_path), Tone(), tmp_path) as synthesizer:
        with pytest.raises(EngineError, match="built-in voice"):
            synthesizer.put_reference("one", VOICE, "你好。")
        synthesizer.put_reference("voice_1", VOICE, "")
        with pytest.raises(EngineError, match="needs the transcript"):
            await said(synthesizer, voice_id="voice_1")
        synthesizer.put_reference("voice_1", b"%PDF-1.7", "你好。")
        with pytest.raises(EngineError, match="rejected the request"):
            await said(synthesizer, voice_id="voice_1")
        synthesizer.put_reference("voice_1", VOICE, "你好。")
        assert len(await said(synthesizer, voice_id="voice_1"))
