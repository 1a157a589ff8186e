"""The real weights, and speech made with them."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

import numpy as np
import pytest

from kuaimei.audio.pcm import ASR_RATE, EMPTY, Pcm
from kuaimei.audio.resample import resample
from kuaimei.engines.protocols import Synthesizer
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.types import TTSReq
from kuaimei.models.source import EngineSource
from kuaimei.settings import Settings

Spoken = Callable[..., Pcm]


@pytest.fixture(scope="session")
def settings() -> Settings:
    """As a user's who set nothing."""
    return Settings()


@pytest.fixture(scope="session")
def kokoro_source(settings: Settings) -> EngineSource:
    """Kokoro's weights; without them the test fails and says what to do."""
    folder = settings.weights_dir / "kokoro"
    if not (folder / "tokenizer.json").is_file():
        pytest.fail(f"there are no weights in {folder}: run make setup", pytrace=False)
    return EngineSource("tts", "kokoro", "kokoro", folder)


@pytest.fixture(scope="session")
def spoken(settings: Settings, kokoro_source: EngineSource) -> Iterator[Spoken]:
    """``spoken(text, voice=None)``: that text said by the real Kokoro, 16 kHz; each text is made once."""
    made: dict[tuple[str, str], Pcm] = {}
    stack = AsyncExitStack()
    opened: list[Synthesizer] = []

    async def say(text: str, voice: str) -> Pcm:
        if not opened:
            engine_context = EngineContext(
                settings, Scheduler("cores of speech for tests", settings.engines.cores)
            )
            opened.append(await stack.enter_async_context(open_synthesizer(engine_context, kokoro_source)))
        (synthesizer,) = opened
        parts = [pcm async for pcm in synthesizer.stream(TTSReq(text=text, voice_id=voice))]
        return resample(np.concatenate([EMPTY, *parts]), synthesizer.sample_rate, ASR_RATE)

    # A loop of its own on a thread of its own: the tests that ask may be running on one.
    with asyncio.Runner() as runner, ThreadPoolExecutor(1) as thread:

        def speak(text: str, voice: str | None = None) -> Pcm:
            key = (text, voice or "")
            if key not in made:
                made[key] = thread.submit(runner.run, say(*key)).result()
                made[key].setflags(write=False)
            return made[key]

        yield speak
        thread.submit(runner.run, stack.aclose()).result()
