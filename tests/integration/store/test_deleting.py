"""Deleted means gone: rows, recordings, spools and jobs, also in the middle of a sentence."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.events import SpeechAudio, SpeechStarted, TurnEnded, UserText
from kuaimei.errors import NotFound
from kuaimei.settings import Settings
from kuaimei.store import StoredTranscript, UtteranceRow, open_store
from tests.support.store.talking import files, hear, now, recording, run_jobs, sound, take_turn


def spooled(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "spool").glob("run_*/*") if path.name != "lock")


async def test_a_session_is_gone_and_the_others_stay(settings: Settings) -> None:
    async with open_store(settings) as store:
        for name in ("sess_a", "sess_b"):
            recorder = store.recorder(name)
            take_turn(recorder, 1, name, sound(8000), "好", sound(8000))
            hear(recorder, 2, sound(8000))
            await recorder.close()
        assert len(files(settings.home)) == 6
        assert await store._jobs.counts() == {"todo": 2}
        (first, *_) = await store.utterances("sess_a")
        await store.delete_session("sess_a")
        assert [s.id for s in await store.sessions()] == ["sess_b"]
        assert (await store.utterances("sess_a"), await store.turns("sess_a")) == ([], [])
        assert len(files(settings.home)) == 3
        assert not (settings.home / "recordings" / "sess_a").exists()
        assert await store._jobs.counts() == {"todo": 1}
        with pytest.raises(NotFound):
            await store.open_audio(first.id)
        with pytest.raises(NotFound):
            await store.delete_session("sess_a")
        (kept, *_) = await store.utterances("sess_b")
        assert len((await recording(store, kept.id))[0]) == 8000


async def test_a_session_is_deleted_in_the_middle_of_a_sentence(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        recorder(SpeechStarted(1, now(), 0.0))
        recorder(SpeechAudio(1, now(), sound(8000)))
        assert await store.flush()
        await store.delete_session("sess_a")
        recorder(SpeechAudio(1, now(), sound(8000)))
        recorder(TurnEnded(1, now(), now(), 1000.0, "silence"))
        recorder(UserText(2, now(), "還在嗎"))
        await recorder.close()
        assert await store.flush()
        await store._writer.barrier()
        assert list(await store.sessions()) == []
        assert (files(settings.home), spooled(settings.home)) == ([], [])


async def test_a_session_is_deleted_while_its_recording_is_put_away(settings: Settings) -> None:
    async with open_store(settings) as store:
        for n in range(8):
            recorder = store.recorder(f"sess_{n}")
            hear(recorder, 1, sound(60_000))
            for _ in range(n):  # a little later each time
                await asyncio.sleep(0.003)
            with contextlib.suppress(NotFound):
                await store.delete_session(f"sess_{n}")
            await recorder.close()
        assert await store.flush()
        await store._writer.barrier()
        assert list(await store.sessions()) == []
        assert (files(settings.home), spooled(settings.home)) == ([], [])


async def test_one_utterance_is_deleted(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        take_turn(recorder, 1, "說", sound(8000), "好", sound(8000))
        await recorder.close()
        user, reply = await store.utterances("sess_a")
        await store.delete_utterance(user.id)
        assert [u.id for u in await store.utterances("sess_a")] == [reply.id]
        assert files(settings.home) == [f"{reply.id}.flac"]
        with pytest.raises(NotFound):
            await store.delete_utterance(user.id)


async def test_another_process_deletes_what_this_one_records(settings: Settings) -> None:
    async with open_store(settings) as store, open_store(settings) as other:
        recorder = store.recorder("sess_a")
        recorder(SpeechStarted(1, now(), 0.0))
        recorder(SpeechAudio(1, now(), sound(8000)))
        assert await store.flush()
        await other.delete_session("sess_a")
        recorder(SpeechAudio(1, now(), sound(8000)))
        recorder(TurnEnded(1, now(), now(), 1000.0, "silence"))
        await recorder.close()
        await store._writer.barrier()
        assert list(await other.sessions()) == []
        assert (files(settings.home), spooled(settings.home)) == ([], [])


async def test_deleted_before_its_job_ran(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(8000))
        await recorder.close()
        (kept,) = await store.utterances("sess_a")
        begun = asyncio.Event()
        goes_on = asyncio.Event()

        async def transcribe(utterance: UtteranceRow, pieces: AsyncIterator[Pcm]) -> StoredTranscript:
            begun.set()
            await goes_on.wait()
            return StoredTranscript("太晚了", "zh")

        working = asyncio.ensure_future(run_jobs(store, transcribe))
        await begun.wait()
        await store.delete_utterance(kept.id)
        goes_on.set()
        await working
        assert await store.utterances("sess_a") == []
