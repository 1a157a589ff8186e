"""Judgements in the database: made once, counted by pair, gone with what they are about."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, text

from kuaimei.dialogue.events import ReplyInterrupted
from kuaimei.errors import NotFound
from kuaimei.settings import RenderingSettings, Settings
from kuaimei.store import Store, open_store, tables
from kuaimei.store.listening_tests import Choice, Tally
from kuaimei.store.rows import Boundary
from tests.support.store.talking import answer, now, sound, take_turn

OWNER = "local"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With both tiers."""
    return settings.model_copy(update={"rendering": RenderingSettings()})


async def reply(store: Store, session: str, *, rendered: bool = True, cut: bool = False) -> str:
    """A reply, with both tiers if it is rendered; its id."""
    recorder = store.recorder(session)
    if cut:
        name = answer(recorder, 1, "一二三四。", sound(24_000), finish=False)
        recorder(ReplyInterrupted(1, now(), name, 400.0, "一二", "barge_in"))
    else:
        take_turn(recorder, 1, "問", sound(8000), "答案。", sound(24_000))
    await recorder.close()
    assert await store.flush()
    found = (await store.utterances(session))[-1]
    if rendered:
        order = await store.renderings.begin(found.id)
        assert order is not None
        whole = [Boundary(0, 0.0, 1000.0)]
        await store.renderings.save(order, sound(24_000), 24_000, engine="k 1", clauses=whole, took_s=1.0)
    return found.id


async def clone(store: Store, voice: str) -> None:
    values = {
        "id": voice,
        "owner": OWNER,
        "name": "小明",
        "state": "ready",
        "duration_s": 5.0,
        "consent": {},
        "learning": {},
    }
    async with store._database.begin() as connection:
        await connection.execute(insert(tables.voices).values(**values))


async def test_only_whole_replies_of_the_owner_with_both_tiers_are_compared(settings: Settings) -> None:
    async with open_store(settings) as store:
        assert await store.preferences.comparable_reply(OWNER) is None
        await reply(store, "sess_fast", rendered=False)
        await reply(store, "sess_cut", cut=True)
        else_ = await store.people.add("somebody else")
        await store.ensure_session("sess_else", owner=else_.id)
        theirs = await reply(store, "sess_else")
        assert await store.preferences.comparable_reply(OWNER) is None
        assert await store.preferences.comparable_reply(else_.id) == theirs
        ours = await reply(store, "sess_ours")
        assert await store.preferences.comparable_reply(OWNER) == ours


async def test_the_reply_judged_least_often_comes_next(settings: Settings) -> None:
    async with open_store(settings) as store:
        replies = {await reply(store, f"sess_{n}") for n in range(3)}
        seen = set()
        for _ in range(3):
            found = await store.preferences.comparable_reply(OWNER)
            assert found is not None
            seen.add(found)
            trial = await store.preferences.begin(
                OWNER, "tiers", "hq", "fast", swapped=False, utterance=found
            )
            await store.preferences.judge(trial.id, OWNER, "a")
        assert seen == replies


@pytest.mark.parametrize("swapped", [False, True])
async def test_a_judgement_is_told_apart_from_the_order_of_the_clips(
    settings: Settings, swapped: bool
) -> None:
    async with open_store(settings) as store:
        one = await reply(store, "sess_a")
        preferences = store.preferences
        choices: tuple[Choice, ...] = ("a", "b", "b", "same")
        for choice in choices:
            trial = await preferences.begin(OWNER, "tiers", "hq", "fast", swapped=swapped, utterance=one)
            assert (trial.a, trial.b) == (("fast", "hq") if swapped else ("hq", "fast"))
            assert trial.preferred is None
            judged = await preferences.judge(trial.id, OWNER, choice, "  清楚  ")
            assert judged is not None
            assert judged.preferred == {"a": trial.a, "b": trial.b, "same": None}[choice]
            assert judged.remark == "清楚"
            assert judged.judged_at is not None
            assert abs((datetime.now(UTC) - judged.judged_at).total_seconds()) < 300
        first, second = (2, 1) if swapped else (1, 2)
        assert await preferences.tallies(OWNER) == [Tally("tiers", "hq", "fast", first, second, 1)]
        assert [trial.choice for trial in await preferences.judged(OWNER)] == ["a", "b", "b", "same"]
        assert await preferences.tallies("somebody else") == []


async def test_the_first_judgement_counts_and_nobody_elses(settings: Settings) -> None:
    async with open_store(settings) as store:
        preferences = store.preferences
        trial = await preferences.begin(OWNER, "voices", "zf_b", "zf_a", swapped=False)
        assert (trial.first, trial.second, trial.a) == ("zf_a", "zf_b", "zf_b")  # a pair has one name
        with pytest.raises(NotFound):
            await preferences.judge(trial.id, "somebody else", "a")
        assert await preferences.judge(trial.id, OWNER, "a") is not None
        assert await preferences.judge(trial.id, OWNER, "b") is None
        assert (await preferences.trial(trial.id, OWNER)).preferred == "zf_b"
        with pytest.raises(NotFound, match="there is no comparison"):
            await preferences.trial("trial_none", OWNER)


async def test_judgements_go_with_their_reply_and_their_voice(settings: Settings) -> None:
    async with open_store(settings) as store:
        preferences = store.preferences
        one, other = await reply(store, "sess_a"), await reply(store, "sess_b")
        await clone(store, "voice_x")
        for utterance in (one, other):
            trial = await preferences.begin(OWNER, "tiers", "hq", "fast", swapped=True, utterance=utterance)
            await preferences.judge(trial.id, OWNER, "a")
        for pair in (("zf_a", "voice_x"), ("zf_a", "zf_b")):
            trial = await preferences.begin(OWNER, "voices", *pair, swapped=True)
            await preferences.judge(trial.id, OWNER, "same")
        assert len(await preferences.judged(OWNER)) == 4
        await store.delete_session("sess_a")
        async with store._database.begin() as connection:
            await connection.execute(text("delete from voices where id = 'voice_x'"))
        left = await preferences.judged(OWNER)
        assert [(trial.utterance_id, trial.first, trial.second) for trial in left] == [
            (other, "hq", "fast"),
            (None, "zf_a", "zf_b"),
        ]
        await preferences.forget(OWNER)
        assert await preferences.judged(OWNER) == []


async def test_what_is_gone_cannot_be_compared(settings: Settings) -> None:
    async with open_store(settings) as store:
        with pytest.raises(NotFound, match="deleted meanwhile"):
            await store.preferences.begin(OWNER, "tiers", "hq", "fast", swapped=True, utterance="utt_gone")
        with pytest.raises(NotFound, match="deleted meanwhile"):
            await store.preferences.begin(OWNER, "voices", "voice_gone", "zf_a", swapped=True)


async def test_trials_that_nobody_judged_are_forgotten(settings: Settings) -> None:
    async with open_store(settings) as store:
        preferences = store.preferences
        old = await preferences.begin(OWNER, "voices", "zf_a", "zf_b", swapped=False)
        judged = await preferences.begin(OWNER, "voices", "zf_a", "zf_b", swapped=False)
        await preferences.judge(judged.id, OWNER, "same")
        async with store._database.begin() as connection:
            await connection.execute(text("update preferences set created_at = now() - interval '2 hours'"))
        fresh = await preferences.begin(OWNER, "voices", "zf_a", "zf_b", swapped=False)
        with pytest.raises(NotFound):
            await preferences.trial(old.id, OWNER)
        assert (await preferences.trial(judged.id, OWNER)).choice == "same"
        assert (await preferences.trial(fresh.id, OWNER)).choice is None
