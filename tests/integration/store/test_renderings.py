"""The second tier in the store: asked for with the reply, made once, kept beside it, gone with it."""

import asyncio
import hashlib
import io
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.events import (
    ClauseReady,
    ReplyAudio,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    ReplyText,
    TurnFailed,
)
from kuaimei.errors import NotFound
from kuaimei.settings import RenderingSettings, Settings
from kuaimei.store import Recorder, Store, StoredTranscript, UtteranceRow, open_store
from kuaimei.store.rows import Boundary, Rendering
from tests.support.store.talking import (
    REPLY_RATE,
    answer,
    eventually,
    files,
    now,
    recording,
    sound,
    take_turn,
)

RATE = 24_000


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With both tiers."""
    return settings.model_copy(update={"rendering": RenderingSettings()})


async def the_reply(store: Store, session: str = "sess_a") -> UtteranceRow:
    assert await store.flush()
    return (await store.utterances(session))[-1]


async def render(store: Store, utterance: str, pcm: Pcm, engine: str = "kokoro 1") -> Rendering | None:
    order = await store.renderings.begin(utterance)
    assert order is not None
    whole = Boundary(0, 0.0, len(pcm) * 1000.0 / RATE)
    return await store.renderings.save(order, pcm, RATE, engine=engine, clauses=[whole], took_s=1.0)


async def heard(store: Store, utterance: str) -> Pcm:
    audio = await store.open_audio(utterance, tier="hq")
    data = b"".join([chunk async for chunk in audio.chunks])
    assert hashlib.sha256(data).hexdigest() == audio.sha256
    pcm, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate == RATE
    found: Pcm = pcm
    return found


async def test_a_reply_is_asked_for_rendered_and_kept_beside_the_fast_one(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a", voice="zf_a")
        fast, fine = sound(24_000, 1), sound(30_000, 2)
        take_turn(recorder, 1, "說", sound(8000), "好的，沒問題。", fast)
        reply = await the_reply(store)
        assert reply.hq is not None
        assert (reply.hq.state, reply.hq.voice, reply.hq.bytes) == ("queued", "zf_a", None)
        assert await store._jobs.counts() == {"todo": 1}
        with pytest.raises(NotFound):
            await store.open_audio(reply.id, tier="hq")

        order = await store.renderings.begin(reply.id)
        assert order is not None
        assert (order.session, order.turn, order.text, order.clauses) == (
            "sess_a",
            1,
            "好的，沒問題。",
            ("好的，沒問題。",),
        )
        assert await store.renderings.wanted(reply.id)
        clauses = [Boundary(0, 0.0, 500.0), Boundary(1, 500.0, 1250.0)]
        kept = await store.renderings.save(order, fine, RATE, engine="kokoro 1", clauses=clauses, took_s=2.0)
        assert kept is not None
        found = (await store.utterance(reply.id)).hq
        assert found == kept
        assert (found.state, found.duration_ms, found.clauses) == ("ready", 1250.0, tuple(clauses))
        np.testing.assert_array_equal(await heard(store, reply.id), fine)
        np.testing.assert_array_equal((await recording(store, reply.id))[0], fast)
        assert await store.renderings.begin(reply.id) is None  # it is done
        assert not list((settings.home / "spool").rglob("*.job"))
        user = (await store.utterances("sess_a"))[0]
        assert user.hq is None
        await recorder.close()


async def test_the_voice_of_each_reply_is_the_one_it_was_spoken_in(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a", voice="zf_default")
        for turn, voice in enumerate(("zf_a", "voice_b"), 1):
            recorder(ReplyStarted(turn, now(), f"reply_{turn}", voice, 1.25))
            recorder(ReplyText(turn, now(), f"reply_{turn}", "好。"))
            recorder(ReplyAudio(turn, now(), f"reply_{turn}", sound(2400), REPLY_RATE, 0.0))
            recorder(ReplyFinished(turn, now(), f"reply_{turn}", "好。", 100.0))
        await recorder.close()
        assert [u.voice for u in await store.utterances("sess_a")] == ["zf_a", "voice_b"]
        order = await store.renderings.begin((await the_reply(store)).id)
        assert order is not None
        assert (order.voice, order.speed) == ("voice_b", 1.25)


async def _cut_in(recorder: Recorder, reason: str) -> None:
    """Over the second half of a reply that has been written as a whole."""
    reply = answer(recorder, 1, "一二三四。五六七八。", sound(24_000), finish=False)
    recorder(ClauseReady(1, now(), reply, 1, "五六七八。", 500.0, 10.0))
    recorder(ReplyInterrupted(1, now(), reply, 400.0, "一二三", reason))  # type: ignore[arg-type]


async def test_an_interrupted_reply_is_rendered_as_it_is_shown(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        await _cut_in(recorder, "barge_in")
        order = await store.renderings.begin((await the_reply(store)).id)
        assert order is not None
        assert order.text == "一二三四。五六七八。"
        await recorder.close()


async def test_a_cancelled_reply_is_not_rendered(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        await _cut_in(recorder, "cancelled")
        assert (await the_reply(store)).hq is None
        assert await store._jobs.counts() == {}
        await recorder.close()


async def test_what_was_asked_for_is_called_off_when_the_reply_is_stopped(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        reply = answer(recorder, 1, "好。", sound(24_000))
        utterance = await the_reply(store)
        assert await render(store, utterance.id, sound(1000)) is not None
        recorder(ReplyInterrupted(1, now(), reply, 400.0, "好", "cancelled"))
        found = (await the_reply(store)).hq
        assert found is not None
        assert (found.state, found.bytes) == ("cancelled", None)
        assert files(settings.home) == [f"{utterance.id}.flac"]
        assert await store._jobs.counts() == {}
        await recorder.close()


async def test_apologies_and_replies_in_text_are_not_rendered(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        recorder(TurnFailed(1, now(), "thinking", "engine", "it failed", "抱歉"))
        answer(recorder, 1, "抱歉", sound(24_000))
        recorder(ReplyStarted(2, now(), "reply_2"))
        recorder(ReplyText(2, now(), "reply_2", "只有字。"))
        recorder(ReplyFinished(2, now(), "reply_2", "只有字。", 0.0))
        await recorder.close()
        assert [u.hq for u in await store.utterances("sess_a")] == [None, None]
        assert await store._jobs.counts() == {}


async def test_the_second_tier_may_be_turned_off(settings: Settings) -> None:
    off = settings.model_copy(update={"rendering": RenderingSettings(hq="none")})
    async with open_store(off) as store:
        recorder = store.recorder("sess_a")
        answer(recorder, 1, "好。", sound(24_000))
        await recorder.close()
        assert (await the_reply(store)).hq is None
        assert await store._jobs.counts() == {}


async def test_asking_twice_does_it_once_and_something_new_does_it_anew(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a", voice="zf_a")
        answer(recorder, 1, "好。", sound(24_000))
        await recorder.close()
        utterance = await the_reply(store)
        await store.renderings.ask(utterance.id, voice="zf_a", text="好。")
        assert await store._jobs.counts() == {"todo": 1}
        await render(store, utterance.id, sound(1000, 1))
        await store.renderings.ask(utterance.id, voice="zf_a", text="好。")
        assert await store.renderings.begin(utterance.id) is None

        await store.renderings.ask(utterance.id, voice="zf_a", text="好。", again=True)
        order = await store.renderings.begin(utterance.id)
        assert order is not None
        assert order.engine == "kokoro 1"  # whoever renders sees that nothing would change
        np.testing.assert_array_equal(await heard(store, utterance.id), sound(1000, 1))
        await store.renderings.mark_ready(order)
        assert await store.renderings.begin(utterance.id) is None

        await store.renderings.ask(utterance.id, voice="zf_b", text="好。")
        order = await store.renderings.begin(utterance.id)
        assert order is not None
        assert (order.engine, order.voice) == ("", "zf_b")
        await store.renderings.save(order, sound(500, 2), RATE, engine="kokoro 1", clauses=[], took_s=1.0)
        np.testing.assert_array_equal(await heard(store, utterance.id), sound(500, 2))
        assert len(files(settings.home)) == 2  # exactly one rendering


async def test_what_failed_can_be_asked_for_again(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a", voice="zf_a")
        answer(recorder, 1, "好。", sound(24_000))
        await recorder.close()
        utterance = await the_reply(store)
        for final, state in ((False, "queued"), (True, "failed")):
            order = await store.renderings.begin(utterance.id)
            assert order is not None
            await store.renderings.fail(order, "the engine failed", final=final)
            found = (await the_reply(store)).hq
            assert found is not None
            assert (found.state, found.error) == (state, "the engine failed")
        assert await store.renderings.begin(utterance.id) is None
        await store.renderings.ask(utterance.id, voice="zf_a", text="好。")
        order = await store.renderings.begin(utterance.id)
        assert order is not None
        assert order.attempts == 1


@pytest.mark.parametrize("what", ["session", "utterance"])
async def test_deleted_in_the_middle_nothing_is_left(settings: Settings, what: str) -> None:
    """The rendering has been begun; what renders does not know yet that nobody wants it."""
    async with open_store(settings) as store, open_store(settings) as elsewhere:
        recorder = store.recorder("sess_a")
        answer(recorder, 1, "好。", sound(24_000))
        await recorder.close()
        utterance = await the_reply(store)
        order = await store.renderings.begin(utterance.id)
        assert order is not None
        if what == "session":
            await elsewhere.delete_session("sess_a")
        else:
            await elsewhere.delete_utterance(utterance.id)
        assert not await store.renderings.wanted(utterance.id)
        late = await store.renderings.save(order, sound(1000), RATE, engine="1", clauses=[], took_s=1.0)
        assert late is None
        assert files(settings.home) == []
        assert await store._jobs.counts() == {}


async def test_deleted_when_it_is_ready_nothing_is_left(settings: Settings) -> None:
    async with open_store(settings) as store:
        for session in ("sess_a", "sess_b"):
            recorder = store.recorder(session)
            answer(recorder, 1, "好。", sound(24_000))
            await recorder.close()
            await render(store, (await the_reply(store, session)).id, sound(1000))
        assert len(files(settings.home)) == 4
        await store.delete_session("sess_a")
        await store.delete_utterance((await the_reply(store, "sess_b")).id)
        assert files(settings.home) == []


async def test_deleting_ends_the_job_that_is_being_done(settings: Settings) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def never_done(utterance: str) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def transcribe(*_: object) -> None:
        raise AssertionError

    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        answer(recorder, 1, "好。", sound(24_000))
        await recorder.close()
        jobs = store.run_jobs({"hq": never_done}, transcribe=transcribe, apart=("hq",))  # type: ignore[arg-type]
        working = asyncio.ensure_future(jobs)
        await begun.wait()
        await store.delete_session("sess_a")
        assert ended.is_set()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_the_latest_reply_is_rendered_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter((1_800_000_000.0, 1_800_000_007.0, 1_800_000_003.0))
    clock = SimpleNamespace(time=lambda: next(times))
    monkeypatch.setattr("kuaimei.store.renderings.time", clock)
    taken: list[str] = []

    async def take(utterance: str) -> None:
        taken.append(utterance)

    async def transcribe(*_: object) -> StoredTranscript:
        return StoredTranscript("好", "zh")

    async with open_store(settings) as store:
        asked = []
        for number in range(3):
            recorder = store.recorder(f"sess_{number}")
            answer(recorder, 1, "好。", sound(2400))
            await recorder.close()
            asked.append((await the_reply(store, f"sess_{number}")).id)
        jobs = store.run_jobs({"hq": take}, transcribe=transcribe, apart=("hq",))
        working = asyncio.ensure_future(jobs)

        async def all_taken() -> bool:
            return len(taken) == 3

        await eventually(all_taken)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert taken == [asked[1], asked[2], asked[0]]


async def test_a_reply_is_rendered_again_when_its_owner_asks(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a", voice="zf_a")
        take_turn(recorder, 1, "說", sound(8000), "好。", sound(24_000))
        await recorder.close()
        user, reply = await store.utterances("sess_a")
        with pytest.raises(NotFound):
            await store.retry_rendering(user.id)
        with pytest.raises(NotFound):
            await store.retry_rendering("utt_nobody")
        await render(store, reply.id, sound(1000, 1))
        await store.retry_rendering(reply.id)
        again = await the_reply(store)
        assert again.hq is not None
        assert again.hq.state == "queued"
        np.testing.assert_array_equal(await heard(store, reply.id), sound(1000, 1))  # until there is a newer
        await render(store, reply.id, sound(1200, 2), "kokoro 2")
        np.testing.assert_array_equal(await heard(store, reply.id), sound(1200, 2))
        await store.renderings.cancel(reply.id)
        await store.retry_rendering(reply.id)
        order = await store.renderings.begin(reply.id)
        assert order is not None
        assert (order.engine, order.clauses) == ("", ("好。",))
