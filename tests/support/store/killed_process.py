"""A process that keeps a conversation and tells how far it is, to be killed at any moment.

Usage: ``victim.py HOME DATABASE STAGE``; one line on standard output after each step.
"""

import asyncio
import sys
from pathlib import Path

from kuaimei.dialogue.events import (
    ClauseReady,
    FinalTranscript,
    ReplyAudio,
    ReplyStarted,
    ReplyText,
    SpeechAudio,
    SpeechStarted,
    TurnEnded,
)
from kuaimei.settings import AnalysisSettings, Settings, StoreSettings
from kuaimei.store import StoredTranscript, UtteranceRow, open_store
from tests.support.store.talking import FRAME, REPLY_RATE, frames, now, sound

HEARD = sound(120 * FRAME, 11)
SPOKEN = sound(96_000, 12)
SECOND_CLAUSE = 24_000
"""Samples of the reply before it."""
STAGES = ("speaking", "ended", "understood", "replying")


def settings(home: Path, database: str) -> Settings:
    store = StoreSettings(database_url=database)
    return Settings(home=home, store=store, analysis=AnalysisSettings(enabled=False))


def tell(*words: object) -> None:
    print(*words, flush=True)


async def converse(home: Path, database: str) -> None:
    async with open_store(settings(home, database)) as store:
        recorder = store.recorder("sess_victim", voice="zf_xiaobei")
        recorder(SpeechStarted(1, now(), 0.0))
        for count, frame in enumerate(frames(HEARD), 1):
            recorder(SpeechAudio(1, now(), frame))
            tell("speaking", count * FRAME)
            await asyncio.sleep(0.008)
        recorder(TurnEnded(1, now(), now(), 0.0, "silence"))
        await store._writer.barrier()
        tell("ended", len(HEARD))
        await asyncio.sleep(0.1)
        recorder(FinalTranscript(1, now(), "說完了", "zh"))
        tell("understood", len(HEARD))
        await asyncio.sleep(0.1)
        recorder(ReplyStarted(1, now(), "reply"))
        recorder(ReplyText(1, now(), "reply", "好的。"))
        done = 0
        for piece in frames(SPOKEN, 1200):
            recorder(ReplyAudio(1, now(), "reply", piece, REPLY_RATE, done * 1000.0 / REPLY_RATE))
            done += len(piece)
            if done == SECOND_CLAUSE:
                recorder(ReplyText(1, now(), "reply", "再見。"))
                recorder(ClauseReady(1, now(), "reply", 1, "再見。", done * 1000.0 / REPLY_RATE, 100.0))
            tell("replying", done)
            await asyncio.sleep(0.01)
        await asyncio.Event().wait()


async def work(home: Path, database: str) -> None:
    async def never_done(utterance: UtteranceRow, pieces: object) -> StoredTranscript:
        tell("working", utterance.id)
        await asyncio.Event().wait()
        raise AssertionError

    async with open_store(settings(home, database)) as store:
        await store.run_jobs(transcribe=never_done)


if __name__ == "__main__":
    doing = work if sys.argv[3] == "work" else converse
    asyncio.run(doing(Path(sys.argv[1]), sys.argv[2]))
