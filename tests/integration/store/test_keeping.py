"""A conversation goes in as events and comes out as rows and recordings."""

import asyncio
import tracemalloc
from datetime import timedelta

import numpy as np
import psycopg
import pytest
from sqlalchemy import update

from kuaimei.audio.pcm import EMPTY
from kuaimei.dialogue.events import (
    FinalTranscript,
    ReplyAudio,
    ReplyInterrupted,
    ReplyPaused,
    ReplyResumed,
    SpeechAudio,
    SpeechRejected,
    SpeechStarted,
    TurnEnded,
    TurnFailed,
    UserText,
)
from kuaimei.errors import NotFound, StoreError
from kuaimei.settings import Settings, StoreSettings
from kuaimei.store import open_store, tables
from kuaimei.store.ids import made_at
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from tests.support.store.talking import REPLY_RATE, answer, hear, now, recording, sound, take_turn


async def test_a_turn_is_kept_whole(settings: Settings) -> None:
    heard, spoken = sound(50_000, 1), sound(70_000, 2)
    async with open_store(settings) as store:
        session = await store.create_session({"name": "test"})
        recorder = store.recorder(session, voice="zf_xiaobei", engine="kokoro")
        take_turn(recorder, 1, "今天天氣怎麼樣？", heard, "今天是晴天。", spoken)
        await recorder.close()

        user, reply = await store.utterances(session)
        assert (user.speaker, user.turn, user.state, user.is_turn) == ("user", 1, "stored", True)
        assert (user.transcript, user.language, user.sample_rate) == ("今天天氣怎麼樣？", "zh", 16_000)
        assert user.duration_ms == 50_000 / 16
        assert (reply.speaker, reply.turn, reply.state, reply.interrupted) == (
            "assistant",
            1,
            "stored",
            False,
        )
        assert (reply.transcript, reply.voice, reply.engine) == ("今天是晴天。", "zf_xiaobei", "kokoro")
        assert reply.heard_ms == reply.duration_ms == 70_000 / 24
        pcm, rate = await recording(store, user.id)
        assert rate == 16_000
        np.testing.assert_array_equal(pcm, heard)
        pcm, rate = await recording(store, reply.id)
        assert rate == REPLY_RATE
        np.testing.assert_array_equal(pcm, spoken)

        (turn,) = await store.turns(session)
        assert (turn.timings["endpoint_ms"], turn.timings["first_audio_ms"]) == (400.0, 900.0)
        assert turn.failures == []
        (listed,) = await store.sessions()
        assert (listed.id, listed.client, listed.turns, listed.utterances) == (
            session,
            {"name": "test"},
            1,
            2,
        )
        assert listed.title == "今天天氣怎麼樣？"
        assert listed.speech_s == pytest.approx(50_000 / 16_000 + 70_000 / 24_000)
        assert [(m.role, m.content) for m in await store.history(session)] == [
            ("user", "今天天氣怎麼樣？"),
            ("assistant", "今天是晴天。"),
        ]
        assert await store.last_turn(session) == 1
        assert (await store.health()).ok
        statistics = await store.statistics()
        assert (statistics.sessions, statistics.utterances, statistics.unsaved) == (1, 2, 0)
        assert (statistics.lost_bytes, statistics.failures, statistics.jobs) == (0, 0, {})
    assert [path.name for path in (settings.home / "spool").iterdir()] == []


async def test_the_recording_is_kept_while_the_reply_is_spoken(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(20_000))
        assert await store.flush()
        (user,) = await store.utterances("sess_a")
        assert (user.state, user.transcript) == ("stored", None)
        recorder(FinalTranscript(1, now(), "你好", "zh"))
        assert await store.flush()
        (user,) = await store.utterances("sess_a")
        assert user.transcript == "你好"
        await recorder.close()


async def test_a_row_exists_while_somebody_speaks(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        recorder(SpeechStarted(1, now(), 0.0))
        recorder(SpeechAudio(1, now(), sound(512)))
        assert await store.flush()
        (user,) = await store.utterances("sess_a")
        assert (user.state, user.duration_ms) == ("recording", None)
        with pytest.raises(NotFound, match="recording"):
            await store.open_audio(user.id)
        await recorder.close()
        assert (await store.utterance(user.id)).state == "stored"


async def test_a_reply_that_is_held_and_resumed_is_kept_once(settings: Settings) -> None:
    spoken = sound(48_000)
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        reply = answer(recorder, 1, "一二三四五六。", spoken[:36_000], finish=False)
        recorder(ReplyPaused(1, now(), reply, 700.0))
        recorder(ReplyResumed(1, now(), reply, 700.0))
        recorder(ReplyAudio(1, now(), reply, spoken[16_800:36_000], REPLY_RATE, 700.0))
        recorder(ReplyAudio(1, now(), reply, spoken[36_000:], REPLY_RATE, 1500.0))
        recorder(ReplyInterrupted(1, now(), reply, 1800.0, "一二三四", "barge_in"))
        await recorder.close()
        (kept,) = await store.utterances("sess_a")
        assert (kept.interrupted, kept.heard_ms, kept.heard_text) == (True, 1800.0, "一二三四")
        assert kept.transcript == "一二三四五六。"
        pcm, _ = await recording(store, kept.id)
        np.testing.assert_array_equal(pcm, spoken)
        assert [m.content for m in await store.history("sess_a")] == ["一二三四"]


async def test_an_interruption_after_the_whole_reply_was_handed_over(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        reply = answer(recorder, 1, "說完了。", sound(24_000))
        assert await store.flush()
        recorder(ReplyInterrupted(1, now(), reply, 250.0, "說", "barge_in"))
        await recorder.close()
        (kept,) = await store.utterances("sess_a")
        assert (kept.state, kept.heard_ms, kept.heard_text) == ("stored", 250.0, "說")
        assert kept.duration_ms == 1000.0


async def test_dropped_speech_is_kept_but_is_no_turn(settings: Settings) -> None:
    cough = sound(6000)
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        recorder(SpeechStarted(2, now(), 0.0))
        recorder(SpeechAudio(2, now(), cough))
        recorder(SpeechRejected(2, now(), "嗯"))
        hear(recorder, 2, sound(8000))
        recorder(FinalTranscript(2, now(), "繼續", "zh"))
        await recorder.close()
        first, second = await store.utterances("sess_a")
        assert (first.is_turn, first.transcript, first.state) == (False, "嗯", "stored")
        pcm, _ = await recording(store, first.id)
        np.testing.assert_array_equal(pcm, cough)
        assert (second.is_turn, second.transcript) == (True, "繼續")
        assert [m.content for m in await store.history("sess_a")] == ["繼續"]


async def test_speech_over_a_reply_becomes_the_turn_it_ended_as(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(1000))
        recorder(FinalTranscript(1, now(), "一", "zh"))
        recorder(SpeechStarted(1, now(), 0.0))
        recorder(SpeechAudio(1, now(), sound(512)))
        recorder(TurnEnded(2, now(), now(), 32.0, "silence"))
        recorder(FinalTranscript(2, now(), "二", "zh"))
        await recorder.close()
        assert [(u.turn, u.transcript) for u in await store.utterances("sess_a")] == [(1, "一"), (2, "二")]


async def test_what_is_typed_has_no_recording(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        recorder(UserText(1, now(), "打字"))
        recorder(TurnFailed(1, now(), "thinking", "unavailable", "away", "抱歉"))
        await recorder.close()
        (typed,) = await store.utterances("sess_a")
        assert (typed.state, typed.transcript, typed.duration_ms) == ("empty", "打字", None)
        (turn,) = await store.turns("sess_a")
        assert turn.failures == [{"stage": "thinking", "kind": "unavailable", "message": "away"}]


async def test_two_sessions_at_once_do_not_mix(settings: Settings) -> None:
    sounds = {name: sound(40_000, seed) for seed, name in enumerate(("sess_a", "sess_b"))}
    async with open_store(settings) as store:
        recorders = {name: store.recorder(name) for name in sounds}
        for name in sounds:
            recorders[name](SpeechStarted(1, now(), 0.0))
        for start in range(0, 40_000, 500):
            for name, pcm in sounds.items():
                recorders[name](SpeechAudio(1, now(), pcm[start : start + 500]))
        for name, recorder in recorders.items():
            recorder(TurnEnded(1, now(), now(), 2500.0, "silence"))
            recorder(FinalTranscript(1, now(), name, "en"))
            await recorder.close()
        for name, pcm in sounds.items():
            (kept,) = await store.utterances(name)
            assert kept.transcript == name
            np.testing.assert_array_equal((await recording(store, kept.id))[0], pcm)


async def test_sessions_are_paged_and_searched(settings: Settings) -> None:
    async with open_store(settings) as store:
        names = [await store.create_session() for _ in range(5)]
        recorder = store.recorder(names[2])
        recorder(UserText(1, now(), "找我 100% 的 Words"))
        await recorder.close()
        assert [s.id for s in await store.sessions(2)] == [names[4], names[3]]
        assert [s.id for s in await store.sessions(2, before=names[3])] == [names[2], names[1]]
        assert await store.delete_session(names[4])
        assert await store.delete_session(names[3])  # the last of the first page: the second goes on after it
        assert [s.id for s in await store.sessions(2, before=names[3])] == [names[2], names[1]]
        assert [s.id for s in await store.sessions(search="words")] == [names[2]]
        assert [s.id for s in await store.sessions(search="100%")] == [names[2]]
        assert [s.id for s in await store.sessions(search="1%0")] == []
        assert (await store.session(names[2])).title == "找我 100% 的 Words"
        await store.rename_session(names[2], " 晚餐 ")
        assert (await store.session(names[2])).title == "晚餐"
        assert [s.id for s in await store.sessions(search="晚")] == [names[2]]
        assert [s.id for s in await store.sessions(search="words")] == [names[2]]
        await store.rename_session(names[2], "")
        assert (await store.session(names[2])).title == "找我 100% 的 Words"
        with pytest.raises(NotFound):
            await store.rename_session("sess_none", "x")
        with pytest.raises(NotFound):
            await store.session("sess_none")
        with pytest.raises(StoreError, match="is not a valid id"):
            store.recorder("../../etc")


async def test_a_page_goes_on_after_a_deleted_session_with_those_of_the_same_millisecond(
    settings: Settings,
) -> None:
    async with open_store(settings) as store:
        before, last = [await store.create_session() for _ in range(2)]
        made = made_at(last)
        assert made is not None
        table = tables.sessions
        async with store._database.begin() as connection:
            for name, us in ((before, 900), (last, 950)):
                began = made + timedelta(microseconds=us)
                await connection.execute(update(table).where(table.c.id == name).values(started_at=began))
        assert [s.id for s in await store.sessions(2, before=last)] == [before]
        assert await store.delete_session(last)
        assert [s.id for s in await store.sessions(2, before=last)] == [before]


async def test_a_part_of_a_recording(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(40_000))
        await recorder.close()
        (kept,) = await store.utterances("sess_a")
        whole = b"".join([chunk async for chunk in (await store.open_audio(kept.id)).chunks])
        part = await store.open_audio(kept.id, 1000, 5000)
        assert (part.content_length, part.size) == (4000, len(whole))
        assert b"".join([chunk async for chunk in part.chunks]) == whole[1000:5000]
        tail = await store.open_audio(kept.id, len(whole) - 10)
        assert b"".join([chunk async for chunk in tail.chunks]) == whole[-10:]
        with pytest.raises(StoreError, match="outside"):
            await store.open_audio(kept.id, len(whole))


async def test_memory_does_not_grow_with_the_recording(settings: Settings) -> None:
    """Ten minutes of speech are 19 MB; keeping them must take a small part of that."""
    second = sound(16_000)
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, second)  # whatever is loaded on first use is loaded now
        assert await store.flush()
        tracemalloc.start()
        try:
            recorder(SpeechStarted(2, now(), 0.0))
            for n in range(600):
                recorder(SpeechAudio(2, now(), second))
                if n % 20 == 19:  # faster than life, yet not all in one instant
                    await store._writer.barrier()
            recorder(TurnEnded(2, now(), now(), 600_000.0, "silence"))
            assert await store.flush(120.0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await recorder.close()
        assert peak < 4_000_000
        kept = (await store.utterances("sess_a"))[-1]
        assert (kept.duration_ms, kept.state) == (600_000.0, "stored")


@pytest.mark.usefixtures("trouble")
async def test_the_database_goes_away_and_comes_back(settings: Settings, cluster: EmbeddedPostgres) -> None:
    heard, spoken = sound(30_000, 3), sound(30_000, 4)
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(5000))
        recorder(FinalTranscript(1, now(), "之前", "zh"))
        assert await store.flush()
        await asyncio.to_thread(cluster._pg_ctl, "stop", "-m", "immediate")
        take_turn(recorder, 2, "當中", heard, "聽到了", spoken)
        assert not (await store.health()).ok
        with pytest.raises(StoreError, match="database"):
            await store.utterances("sess_a")
        while store._ingest.failures == 0:
            await asyncio.wait([item.task for item in store._ingest._items if item.task], timeout=0.05)
        await asyncio.to_thread(cluster.ensure_running)
        assert await store.flush(60.0)
        await recorder.close()
        assert [u.transcript for u in await store.utterances("sess_a")] == ["之前", "當中", "聽到了"]
        _, user, reply = await store.utterances("sess_a")
        np.testing.assert_array_equal((await recording(store, user.id))[0], heard)
        np.testing.assert_array_equal((await recording(store, reply.id))[0], spoken)


async def test_blobs_in_a_folder_of_ones_own(settings: Settings) -> None:
    elsewhere = settings.home / "elsewhere"
    url = settings.store.database_url
    moved = settings.model_copy(
        update={"store": StoreSettings(database_url=url, blob_url=elsewhere.as_uri())}
    )
    async with open_store(moved) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(4000))
        await recorder.close()
        (kept,) = await store.utterances("sess_a")
        assert len((await recording(store, kept.id))[0]) == 4000
    assert len(list(elsewhere.rglob("*.flac"))) == 1


async def test_speech_without_a_single_sample_is_empty(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, EMPTY)
        await recorder.close()
        (kept,) = await store.utterances("sess_a")
        assert kept.state == "empty"


async def test_an_unknown_place_is_told(settings: Settings, tmp_path: object) -> None:
    away = StoreSettings(database_url=f"host={tmp_path} dbname=nothing")
    with pytest.raises(StoreError, match="database"):
        async with open_store(settings.model_copy(update={"store": away})):
            pass
    bad = StoreSettings(database_url=settings.store.database_url, blob_url="nonsense://somewhere")
    with pytest.raises(StoreError, match="nonsense"):
        async with open_store(settings.model_copy(update={"store": bad})):
            pass


async def test_a_newer_database_is_left_alone(settings: Settings) -> None:
    async with open_store(settings):
        pass
    with psycopg.connect(settings.store.database_url, autocommit=True) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(StoreError, match="newer kuaimei"):
        async with open_store(settings):
            pass
