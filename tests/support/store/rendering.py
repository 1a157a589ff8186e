"""A renderer on the real store, its synthesiser costs nothing; also as a process of its own, to be killed.

Usage: ``rendering.py HOME DATABASE``: renders what is asked for, tells on standard output when it has begun
the second sentence, and never ends that.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.types import TTSReq
from kuaimei.rendering.broadcast import Announcements
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.rendering.renderer import HqEngine, Renderer, RenderingCounts
from kuaimei.settings import Settings, StoreSettings
from kuaimei.store import Store, StoredTranscript, open_store
from kuaimei.store.renderings import HQ_JOB
from tests.support.fakes import FakeSynthesizer

TEXT = "今天臺北多雲，氣溫二十五度，傍晚可能會下雨。出門的時候記得要帶傘，也要多穿一件外套！"
SENTENCES = TEXT[:22], TEXT[22:]


class Slow(FakeSynthesizer):
    """Tells before each sentence, and waits there as long as it is told to."""

    before: Callable[[str], "asyncio.Future[None] | None"] = staticmethod(lambda text: None)

    async def stream(self, req: TTSReq) -> AsyncIterator[Pcm]:
        if (goes_on := self.before(req.text)) is not None:
            await goes_on
        async for pcm in super().stream(req):
            yield pcm


def synthesizer() -> Slow:
    return Slow(voices=("zf_a",), delay_s=0.0, character_ms=50.0)


@asynccontextmanager
async def rendering(
    store: Store,
    speaker: Slow,
    *,
    idle_monitor: IdleMonitor | None = None,
    announcements: Announcements | None = None,
) -> AsyncIterator[RenderingCounts]:
    """The durable jobs are done during the block."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Slow]:
        yield speaker

    async def engine_for(voice: str) -> HqEngine:
        return HqEngine("fake", "fake 1", 100.0, opened, lambda found: voice)

    async def transcribe(*_: object) -> StoredTranscript:
        return StoredTranscript("好", "zh")

    counts = RenderingCounts()
    async with ModelCache(1000.0) as model_cache:
        renderer = Renderer(
            store.renderings,
            engine_for,
            model_cache,
            idle_monitor or IdleMonitor(),
            announcements or Announcements(),
            counts,
        )
        jobs = store.run_jobs({HQ_JOB: renderer}, transcribe=transcribe, apart=(HQ_JOB,))
        working = asyncio.ensure_future(jobs)
        try:
            yield counts
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def be_a_victim(home: Path, database: str) -> None:
    speaker = synthesizer()

    def before(text: str) -> "asyncio.Future[None] | None":
        if text == SENTENCES[0]:
            return None
        print("second 1", flush=True)
        return asyncio.get_running_loop().create_future()

    speaker.before = before
    async with (
        open_store(Settings(home=home, store=StoreSettings(database_url=database))) as store,
        rendering(store, speaker),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(be_a_victim(Path(sys.argv[1]), sys.argv[2]))
