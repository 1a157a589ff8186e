"""How people spoke: found out of everything that was said, kept beside it, gone with it."""

import asyncio
import signal
from collections.abc import Sequence

import pytest
from sqlalchemy import func, select

from kuaimei.analysis.head import Head, shipped_head
from kuaimei.analysis.job import Scored
from kuaimei.analysis.types import SCORES
from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.prosody.types import VoiceQuality
from kuaimei.errors import KuaimeiError, NotFound
from kuaimei.settings import AnalysisSettings, Settings
from kuaimei.store import Recorder, Store, UtteranceRow, open_store, tables
from kuaimei.store.due_analyses import AnalysisVersion
from kuaimei.store.ratings import RatingScores
from kuaimei.store.score_history import Cohort, ScoreCursor
from tests.integration.store.test_recovery import reached, victim
from tests.support.store.analysing import SAID, LoudnessVad, analysing, everything, voice
from tests.support.store.talking import eventually, hear, take_turn


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With analysis."""
    return settings.model_copy(update={"analysis": AnalysisSettings()})


async def lacking(store: Store) -> int:
    """Utterances with neither features and scores nor a reason."""
    said, made = tables.utterances, tables.analyses
    told = (made.c.utterance_id == said.c.id) & (made.c.state != "waiting")
    query = select(func.count()).select_from(said.outerjoin(made, told)).where(made.c.utterance_id.is_(None))
    async with store._database.begin() as connection:
        return await connection.scalar(query) or 0


async def complete(store: Store) -> bool:
    return not await lacking(store) and not (await store._jobs.counts())


def a_turn(recorder: Recorder, turn: int = 1, heard: Pcm | None = None) -> None:
    take_turn(
        recorder, turn, SAID, voice() if heard is None else heard, "好的，沒問題。", voice(1.6, 220.0, 24_000)
    )


async def talked(store: Store) -> None:
    """One turn of a session, which is over."""
    recorder = store.recorder("sess_a")
    a_turn(recorder)
    await recorder.close()


async def said(store: Store, session: str = "sess_a") -> Sequence[UtteranceRow]:
    assert await store.flush()
    return await store.utterances(session)


async def test_everything_said_has_scores_or_a_reason(settings: Settings) -> None:
    told: list[Scored] = []
    async with open_store(settings) as store, analysing(store, settings) as room:
        with room.announcements.subscribe("sess_a", told.append):
            recorder = store.recorder("sess_a", voice="zf_a")
            everything(recorder, 1)
            await recorder.close()
            await eventually(lambda: complete(store))
        found = await said(store)
        outcomes = {(u.turn, u.speaker): u.analysis for u in found}
        spoken, reply, typed, cough, unknown = (
            outcomes[key] for key in ((1, "user"), (1, "assistant"), (2, "user"), (3, "user"), (4, "user"))
        )
        for one in (spoken, reply, unknown):
            assert one is not None
            assert (one.state, one.reason) == ("scored", None)
            assert all(0.0 < (getattr(one, name) or 0.0) < 1.0 for name in SCORES)
        assert typed is not None
        assert cough is not None
        assert (typed.state, typed.reason) == ("unscored", "no_audio")
        assert (cough.state, cough.reason) == ("unscored", "not_speech")
        assert {one.utterance: one.summary for one in told} == {u.id: u.analysis for u in found}
        # The words that nobody had understood are counted in the rate of speech.
        last = await store.analyses.get(found[-1].id)
        assert last.features["rate_syl_s"] == pytest.approx(10 / last.features["speech_s"])
        assert last.scores is not None
        assert last.contours is not None
        assert len(last.contours["f0_hz"]) == 150
        assert len(last.contours["pauses"]) == 1
        assert room.counts.outcomes["scored"] >= 3
        assert room.counts.audio_s > 4.0
        progress = await room.progress()
        assert (progress.utterances, progress.waiting) == (5, 0)
        assert (await room.progress("somebody")).utterances == 0


async def test_what_is_too_long_is_told_so_and_never_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A microphone that was forgotten for a day would be gigabytes at once."""
    monkeypatch.setattr("kuaimei.analysis.job._LONGEST_MS", 1000.0)
    async with open_store(settings) as store, analysing(store, settings) as room:

        async def never(*_: object, **__: object) -> None:
            raise AssertionError("it is read")

        monkeypatch.setattr(room.analyst._recordings, "open_audio", never)
        await talked(store)
        await eventually(lambda: complete(store))
        for one in await said(store):
            assert one.analysis is not None
            assert (one.analysis.state, one.analysis.reason) == ("unscored", "too_long")


async def test_done_is_done_and_words_that_come_later_count(settings: Settings) -> None:
    async with open_store(settings) as store, analysing(store, settings) as room:
        await talked(store)
        await eventually(lambda: complete(store))
        user, _ = await said(store)
        first = await store.analyses.get(user.id)
        await room.analyst(user.id)
        assert await store.analyses.get(user.id) == first
        async with store._database.begin() as connection:
            table = tables.utterances
            await connection.execute(table.update().where(table.c.id == user.id).values(transcript="短短的"))
        basis = room.analyst.instruments.basis()
        assert [name for name, _ in await store.analyses.due(basis, 10)] == [user.id]
        await room.analyst(user.id)
        assert (await store.analyses.get(user.id)).reason == "too_short"
        assert await store.analyses.due(basis, 10) == []


async def test_other_weights_score_what_was_measured_without_the_recording(settings: Settings) -> None:
    async with open_store(settings) as store:
        async with analysing(store, settings):
            await talked(store)
            await eventually(lambda: complete(store))
        (user, reply) = await said(store)
        before = await store.analyses.get(user.id)
        await store._blobs.delete([f"sess_a/{user.id}.flac", f"sess_a/{reply.id}.flac"])
        shipped = shipped_head()
        bias = dict.fromkeys(SCORES, 5.0)
        other = Head(**{**shipped.model_dump(), "version": "another", "bias": bias})
        async with analysing(store, settings) as room:
            room.analyst.instruments = type(room.analyst.instruments)(
                LoudnessVad, room.analyst.instruments.meter, lambda: other
            )
            await room._sweep()
            await eventually(lambda: complete(store))

            async def another() -> bool:
                return (await store.analyses.get(user.id)).head == "another"

            await eventually(another)
        after = await store.analyses.get(user.id)
        assert before.scores is not None
        assert after.scores is not None
        assert after.scores["confidence"]["value"] > before.scores["confidence"]["value"]
        assert (after.features, after.contours) == (before.features, before.contours)


async def test_another_version_analyses_everything_again_the_newest_first(settings: Settings) -> None:
    async with open_store(settings) as store:
        async with analysing(store, settings):
            for n in range(3):
                recorder = store.recorder(f"sess_{n}")
                hear(recorder, 1, voice(1.2 + n / 10))
                await recorder.close()
            await eventually(lambda: complete(store))
        ids = [(await said(store, f"sess_{n}"))[0].id for n in range(3)]
        basis = AnalysisVersion("own-next", shipped_head().version)
        assert [name for name, _ in await store.analyses.due(basis, 2)] == [ids[2], ids[1]]
        assert (await store.analyses.progress(basis)).waiting == 3
        order = await store.analyses.claim(ids[1], basis)
        assert order is not None
        assert order.features is None
        # What is there can be seen meanwhile, and what was begun is still due.
        assert (await store.analyses.get(ids[1])).extractor != "own-next"
        assert (await store.analyses.progress(basis)).waiting == 3


async def test_all_of_it_again_at_somebodys_wish(settings: Settings) -> None:
    async with open_store(settings) as store, analysing(store, settings) as room:
        await talked(store)
        await eventually(lambda: complete(store))
        before = [await store.analyses.get(u.id) for u in await said(store)]
        assert await room.reanalyse("somebody") == 0
        assert await room.reanalyse("local") == 2

        async def anew() -> bool:
            found = [await store.analyses.get(one.utterance) for one in before]
            return all(new.analysed_at > old.analysed_at for new, old in zip(found, before, strict=True))

        await eventually(anew)
        assert (await room.progress()).waiting == 0


@pytest.mark.usefixtures("trouble")
async def test_a_recording_that_is_damaged_or_gone_is_given_up(settings: Settings) -> None:
    async with open_store(settings) as store:
        await talked(store)
        user, reply = await said(store)
        (settings.home / "recordings" / "sess_a" / f"{user.id}.flac").write_bytes(b"fLaC, or so it says")
        await store._blobs.delete([f"sess_a/{reply.id}.flac"])
        async with analysing(store, settings, jobs=False) as room:
            for one in (user, reply):
                for _ in range(2):
                    with pytest.raises(KuaimeiError):
                        await room.analyst(one.id)
                await room.analyst(one.id)
                assert (await store.analyses.get(one.id)).reason == "unreadable"
            assert room.counts.outcomes["unreadable"] == 2
        assert await lacking(store) == 0


@pytest.mark.usefixtures("trouble")
async def test_what_is_nobodys_fault_is_tried_for_ever(settings: Settings) -> None:
    class Away:
        async def open_audio(self, utterance: str) -> None:
            raise OSError("the disk does not answer")

    async with open_store(settings) as store:
        await talked(store)
        user, _ = await said(store)
        async with analysing(store, settings, jobs=False) as room:
            analyst = room.analyst
            recordings, analyst._recordings = analyst._recordings, Away()  # type: ignore[assignment]
            for _ in range(5):
                with pytest.raises(KuaimeiError):
                    await analyst(user.id)
            analyst._recordings = recordings
            await analyst(user.id)
        assert (await store.analyses.get(user.id)).state == "scored"


@pytest.mark.usefixtures("trouble")
async def test_one_that_ends_the_process_each_time_is_given_up(settings: Settings) -> None:
    async with open_store(settings) as store:
        await talked(store)
        user, _ = await said(store)
        async with analysing(store, settings) as room:
            await eventually(lambda: complete(store))
            await room.reanalyse()
            for _ in range(6):  # begun, and nothing came back
                assert await store.analyses.claim(user.id, room.analyst.instruments.basis()) is not None
            await room.analyst(user.id)
        assert (await store.analyses.get(user.id)).reason == "unreadable"


async def test_it_waits_for_quiet_and_gives_the_core_back(settings: Settings) -> None:
    """Somebody begins to talk while a recording is measured: it is held there, and goes on afterwards."""
    idle_monitor = IdleMonitor(settle_s=0.0)
    begun, held = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Watched(LoudnessVad):
        frames = 0

        def probability(self, frame: Pcm) -> float:
            Watched.frames += 1
            if Watched.frames == 20:
                loop.call_soon_threadsafe(begun.set)
                asyncio.run_coroutine_threadsafe(held.wait(), loop).result()
            return super().probability(frame)

    async with open_store(settings) as store, analysing(store, settings, idle_monitor) as room:
        room.analyst.instruments = type(room.analyst.instruments)(
            Watched, room.analyst.instruments.meter, room.analyst.instruments.head
        )
        recorder = store.recorder("sess_a")
        a_turn(recorder)
        await begun.wait()
        cores = room.analyst._cores
        assert cores.busy == 1
        watch = idle_monitor.watch("sess_b")
        idle_monitor._need(watch, True)
        held.set()
        async with asyncio.timeout(30):
            while cores.busy:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        so_far = Watched.frames
        assert so_far <= 21
        assert await lacking(store) >= 1
        watch.close()
        await recorder.close()
        await eventually(lambda: complete(store))
        assert Watched.frames > so_far


async def test_what_is_deleted_meanwhile_leaves_nothing(settings: Settings) -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async with open_store(settings) as store, analysing(store, settings) as room:
        meter = room.analyst.instruments.meter

        class Slow:
            name = meter.name

            def voice(self, samples: object, rate: int) -> VoiceQuality:
                loop.call_soon_threadsafe(begun.set)
                asyncio.run_coroutine_threadsafe(goes_on.wait(), loop).result()
                return meter.voice(samples, rate)  # type: ignore[arg-type]

        room.analyst.instruments = type(room.analyst.instruments)(
            LoudnessVad, Slow(), room.analyst.instruments.head
        )
        await talked(store)
        user, _ = await said(store)
        await begun.wait()
        await store.ratings.rate(user.id, "local", "我", RatingScores(1, None, 5))
        await store.delete_session("sess_a")
        goes_on.set()

        async def idle() -> bool:
            return not await store._jobs.counts()

        await eventually(idle)
        async with store._database.begin() as connection:
            for table in (tables.analyses, tables.ratings, tables.utterances):
                assert await connection.scalar(select(func.count()).select_from(table)) == 0
        with pytest.raises(NotFound):
            await store.ratings.rate(user.id, "local", "我", RatingScores(1, None, 5))


async def _spoken(
    store: Store, session: str, times: int, owner: str = "local", **client: str
) -> Sequence[UtteranceRow]:
    await store.ensure_session(session, client, owner=owner)
    recorder = store.recorder(session, voice="zf_a")
    for turn in range(1, times + 1):
        a_turn(recorder, turn, voice(1.2 + turn / 10))
    await recorder.close()
    return await said(store, session)


async def test_people_are_compared_with_themselves_and_nobody_else(settings: Settings) -> None:
    async with open_store(settings) as store, analysing(store, settings):
        first = await _spoken(store, "sess_a", 2, owner="local", person="anna")
        await _spoken(store, "sess_b", 1, owner="local", person="ben")
        you = await store.people.add("you")
        await _spoken(store, "sess_c", 1, owner=you.id, person="anna")
        later = await _spoken(store, "sess_d", 2, owner="local", person="anna")
        nobody = await _spoken(store, "sess_e", 2, owner="local")
        await eventually(lambda: complete(store))
        anna = Cohort("local", "sess_d", "anna", "user", "")
        mine = [u.id for u in (*first, *later) if u.speaker == "user"]
        points = await store.peers.newest(anna)
        assert [point.moment.utterance for point in points] == mine
        last = next(u for u in reversed(later) if u.speaker == "user")
        before = await store.peers.newest(anna, before=ScoreCursor(last.started_at, last.id))
        assert [point.moment.utterance for point in before] == mine[:-1]
        newest = await store.peers.newest(anna, limit=2)
        assert [point.moment.utterance for point in newest] == mine[-2:]
        kept = await store.analyses.get(last.id)
        assert kept.scores is not None
        assert points[-1].scores == {name: kept.scores[name]["value"] for name in SCORES}
        alone = await store.peers.newest(Cohort("local", "sess_e", "", "user", ""))
        assert [p.moment.utterance for p in alone] == [u.id for u in nobody if u.speaker == "user"]
        replies = await store.peers.newest(Cohort("local", "sess_d", "anna", "assistant", "zf_a"))
        assert len(replies) == 7  # whoever was answered, in this voice
        assert await store.peers.newest(Cohort("local", "sess_d", "anna", "assistant", "zf_b")) == []


async def test_each_rater_rates_everything_once_in_an_order_of_their_own(settings: Settings) -> None:
    async with open_store(settings) as store, analysing(store, settings):
        mine = [u.id for u in await _spoken(store, "sess_a", 4, owner="local") if u.speaker == "user"]
        you = await store.people.add("you")
        await _spoken(store, "sess_b", 1, owner=you.id)
        await eventually(lambda: complete(store))
        orders = {}
        for rater in ("甲", "乙", "丙", "丁"):
            order: list[str] = []
            while (found := await store.ratings.next("local", rater, skipped=order)) is not None:
                order.append(found)
            assert sorted(order) == sorted(mine)
            orders[rater] = tuple(order)
        assert len(set(orders.values())) > 1
        first = orders["甲"][0]
        assert await store.ratings.next("local", "甲") == await store.ratings.next("local", "甲") == first
        await store.ratings.rate(first, "local", "甲", RatingScores(1, 2, 3))
        await store.ratings.rate(first, "local", "甲", RatingScores(4, None, 5))
        await store.ratings.rate(first, "local", "乙", RatingScores(None, 1, None))
        assert await store.ratings.next("local", "甲") == orders["甲"][1]
        tally = await store.ratings.tally("local", "甲")
        assert (tally.rated, tally.total, tally.ratings) == (1, 4, 2)
        ratings = await store.ratings.all("local")
        assert {(r.rater, r.marks) for r in ratings} == {
            ("甲", RatingScores(4, None, 5)),
            ("乙", RatingScores(None, 1, None)),
        }
        assert await store.ratings.all(you.id) == []
        features = await store.analyses.features([first, "utt_unknown"])
        assert list(features) == [first]
        assert features[first]["speech_s"] > 1.0


async def test_nothing_is_asked_for_where_nothing_is_analysed(settings: Settings) -> None:
    off = settings.model_copy(update={"analysis": AnalysisSettings(enabled=False)})
    async with open_store(off) as store:
        await talked(store)
        assert await store.flush()
        assert await store._jobs.counts() == {}
    # Turned on later, what was said before is found.
    async with open_store(settings) as store, analysing(store, settings):
        await eventually(lambda: complete(store))


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize(("stage", "amount"), [("said", 1), ("analysed", 0), ("analysed", 3), ("said", 9)])
async def test_killed_at_any_moment_nothing_stays_without_an_analysis(
    settings: Settings, stage: str, amount: int
) -> None:
    module = "tests.support.store.analysing"
    async with victim(settings, "analyse", module) as process:
        for _ in range(max(1, amount if stage == "analysed" else 1)):
            await reached(process, stage, amount if stage == "said" else 0)
        process.send_signal(signal.SIGKILL)
    async with open_store(settings) as store, analysing(store, settings) as room:
        await eventually(lambda: complete(store))
        found = await said(store, "sess_victim")
        assert len(found) >= 5
        assert await lacking(store) == 0
        assert (await room.progress()).waiting == 0
        assert all(u.analysis is not None for u in found)
    assert [*(settings.home / "spool").iterdir()] == []
