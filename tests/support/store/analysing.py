"""Speech that can be measured, and a server that analyses; as a process, one to be killed at any moment.

Usage: ``analysing.py HOME DATABASE STAGE``; one line on standard output after each step.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import numpy as np

from kuaimei.analysis.service import AnalysisService, open_analysis
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.dialogue.events import SpeechAudio, SpeechRejected, SpeechStarted, UserText
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.scheduling import Scheduler
from kuaimei.settings import RenderingSettings, Settings, StoreSettings
from kuaimei.store import Recorder, Store, StoredTranscript, UtteranceRow, open_store
from kuaimei.store.analyses import ANALYSE_JOB
from tests.support.store.talking import frames, hear, now, take_turn

SAID = "今天的天氣真的很不錯"


class LoudnessVad:
    """Speech is what is loud."""

    frame_samples = 512

    def probability(self, frame: Pcm) -> float:
        return 0.98 if float(np.abs(frame.astype(np.float32)).mean()) > 300.0 else 0.02

    def reset(self) -> None:
        pass


@cache
def voice(seconds: float = 2.0, f0_hz: float = 140.0, rate: int = ASR_RATE) -> Pcm:
    """Syllables of a voice whose pitch rises and falls, with a pause in the middle."""
    t = np.arange(int(seconds * rate)) / rate
    pitch = f0_hz * 2.0 ** (0.25 * np.sin(2 * np.pi * 1.3 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    wave = sum(np.sin(n * phase) / n for n in range(1, 20))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4.0 * t)
    middle = np.abs(t - seconds / 2) < 0.15
    noise = np.random.default_rng(1).normal(0.0, 0.002, len(t))
    return ((np.where(middle, 0.0, 0.2 * wave * syllables) + noise) * 20_000).astype(np.int16)


def everything(recorder: Recorder, turn: int) -> None:
    """A turn of both sides, something typed, a cough, and speech that nobody understands."""
    take_turn(recorder, turn, SAID, voice(), "好的，沒問題。", voice(1.6, 220.0, 24_000))
    recorder(UserText(turn + 1, now(), "打字"))
    recorder(SpeechStarted(turn + 2, now(), 0.0))
    for frame in frames(voice(0.3)):
        recorder(SpeechAudio(turn + 2, now(), frame))
    recorder(SpeechRejected(turn + 2, now(), ""))
    hear(recorder, turn + 3, voice(1.5))


@asynccontextmanager
async def analysing(
    store: Store, settings: Settings, idle_monitor: IdleMonitor | None = None, *, jobs: bool = True
) -> AsyncIterator[AnalysisService]:
    """Everything is analysed, and what nobody understood recognised, for the length of the block.

    Without ``jobs`` it is only asked for.
    """

    async def transcribe(utterance: UtteranceRow, pieces: AsyncIterator[Pcm]) -> StoredTranscript:
        return StoredTranscript(SAID, "zh")

    cores = Scheduler("cores", 1)
    async with open_analysis(
        settings, store, LoudnessVad, cores, idle_monitor or IdleMonitor(), jobs=jobs
    ) as room:
        if not jobs:
            yield room
            return
        keeping_up = asyncio.ensure_future(room.run())
        work = store.run_jobs({ANALYSE_JOB: room.analyst}, transcribe=transcribe, apart=(ANALYSE_JOB,))
        working = asyncio.ensure_future(work)
        try:
            yield room
        finally:
            for task in (working, keeping_up):
                task.cancel()
            await asyncio.gather(working, keeping_up, return_exceptions=True)


async def be_a_victim(home: Path, database: str) -> None:
    kept, rendering = StoreSettings(database_url=database), RenderingSettings(hq="none")
    settings = Settings(home=home, store=kept, rendering=rendering)
    async with open_store(settings) as store, analysing(store, settings) as room:
        with room.announcements.subscribe("sess_victim", lambda scored: print("analysed 1", flush=True)):
            recorder = store.recorder("sess_victim")
            for turn in range(1, 400, 4):
                everything(recorder, turn)
                await store._writer.barrier()
                print("said", turn, flush=True)
                await asyncio.sleep(0.4)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(be_a_victim(Path(sys.argv[1]), sys.argv[2]))
