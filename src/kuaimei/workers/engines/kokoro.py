"""Kokoro, so that another machine can synthesize for the server; its high-quality variant for ``hq``."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.protocols import Synthesizer
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import TTSReq
from kuaimei.models.resolve import resolve
from kuaimei.models.source import EngineSource
from kuaimei.workers.types import EngineRequest, EngineSpec, Licence, Options, TTSEngine

__all__ = ["CARD"]


class _Kokoro:
    def __init__(self, synthesizer: Synthesizer) -> None:
        self._synthesizer = synthesizer

    @property
    def sample_rate(self) -> int:
        return self._synthesizer.sample_rate

    @property
    def voices(self) -> Sequence[str]:
        return self._synthesizer.voices

    async def stream(self, speech: EngineRequest) -> AsyncGenerator[Pcm, None]:
        req = TTSReq(text=speech.text, voice_id=speech.voice, speed=speech.speed, ticket=speech.ticket)
        async with aclosing(self._synthesizer.stream(req)) as pieces:  # type: ignore[type-var]
            async for pcm in pieces:
                yield pcm


@asynccontextmanager
async def _open_fast(options: Options) -> AsyncIterator[TTSEngine]:
    from kuaimei.engines.tts import open_synthesizer

    options.progress("network and dictionaries")
    async with open_synthesizer(_engine_context(options), _source(options)) as synthesizer:
        yield _Kokoro(synthesizer)


@asynccontextmanager
async def _open_hq(options: Options) -> AsyncIterator[TTSEngine]:
    from kuaimei.engines.tts.kokoro.hq import open_hq

    options.progress("network and dictionaries")
    async with open_hq(_engine_context(options), _source(options)) as synthesizer:
        yield _Kokoro(synthesizer)


def _engine_context(options: Options) -> EngineContext:
    cores = options.settings.engines.cores
    return EngineContext(options.settings, Scheduler("cores", cores))


def _source(options: Options) -> EngineSource:
    return resolve("tts", options.model or "kokoro", options.settings.weights_dir)


CARD = EngineSpec(
    name="kokoro",
    package="kuaimei itself",
    licence=Licence(
        code="Apache-2.0", weights="Apache-2.0", commercial=True, source="kuaimei models pull kokoro"
    ),
    openers={"fast": _open_fast, "hq": _open_hq},
    memory_mb=1100.0,
    references=False,
)
