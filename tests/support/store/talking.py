"""Turns of a conversation, as the events the recorder would see."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.events import (
    ClauseReady,
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyStarted,
    ReplyText,
    SpeechAudio,
    SpeechStarted,
    TurnEnded,
    TurnLatencies,
    TurnMetrics,
)
from kuaimei.store import Recorder, Store, StoredTranscript, UtteranceRow

FRAME = 512
REPLY_RATE = 24_000


def sound(samples: int, seed: int = 0) -> Pcm:
    """Noise: no two frames of it are alike, so that a misplaced one is found."""
    return np.random.default_rng(seed).integers(-20_000, 20_000, samples).astype(np.int16)


def frames(pcm: Pcm, size: int = FRAME) -> Iterator[Pcm]:
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def now() -> float:
    return asyncio.get_running_loop().time()


def hear(recorder: Recorder, turn: int, pcm: Pcm) -> None:
    recorder(SpeechStarted(turn, now(), 0.0))
    for frame in frames(pcm):
        recorder(SpeechAudio(turn, now(), frame))
    recorder(TurnEnded(turn, now(), now(), len(pcm) / 16.0, "silence"))


def answer(recorder: Recorder, turn: int, text: str, pcm: Pcm, *, finish: bool = True) -> str:
    reply = f"reply_{turn}"
    recorder(ReplyStarted(turn, now(), reply))
    for character in text:
        recorder(ReplyText(turn, now(), reply, character))
    recorder(ClauseReady(turn, now(), reply, 0, text, 0.0, 100.0))
    done = 0
    for piece in frames(pcm, 2400):
        recorder(ReplyAudio(turn, now(), reply, piece, REPLY_RATE, done * 1000.0 / REPLY_RATE))
        done += len(piece)
    if finish:
        recorder(ReplyFinished(turn, now(), reply, text, len(pcm) * 1000.0 / REPLY_RATE))
    return reply


def take_turn(recorder: Recorder, turn: int, said: str, heard: Pcm, replied: str, spoken: Pcm) -> None:
    hear(recorder, turn, heard)
    recorder(FinalTranscript(turn, now(), said, "zh"))
    answer(recorder, turn, replied, spoken)
    recorder(TurnMetrics(turn, now(), TurnLatencies(endpoint_ms=400.0, first_audio_ms=900.0)))


def files(home: Path) -> list[str]:
    """Names of the recordings that are kept."""
    return sorted(path.name for path in (home / "recordings").rglob("*") if path.is_file())


async def recording(store: Store, utterance: str) -> tuple[Pcm, int]:
    """What a player would hear, after checking size and hash."""
    audio = await store.open_audio(utterance)
    data = b"".join([chunk async for chunk in audio.chunks])
    assert len(data) == audio.size == audio.content_length
    assert hashlib.sha256(data).hexdigest() == audio.sha256
    decoded: tuple[Any, int] = soundfile.read(io.BytesIO(data), dtype="int16")
    return decoded


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    """Return when it holds; nothing tells us, for it happens in another process or the database."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def run_jobs(
    store: Store, transcribe: Callable[[UtteranceRow, AsyncIterator[Pcm]], Awaitable[StoredTranscript]]
) -> None:
    """Until none is left."""

    async def none_left() -> bool:
        return not await store._jobs.counts()

    working = asyncio.ensure_future(store.run_jobs(transcribe=transcribe))
    try:
        await eventually(none_left)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
