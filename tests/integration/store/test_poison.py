"""Text that no database can hold, records that can never be kept: nobody waits for them, nothing is lost."""

import asyncio
import inspect
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy.exc import IntegrityError

from kuaimei.dialogue.events import (
    ClauseReady,
    FinalTranscript,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    ReplyText,
    SpeechAudio,
    SpeechRejected,
    SpeechStarted,
    TurnFailed,
    TurnLatencies,
    TurnMetrics,
    UserText,
)
from kuaimei.errors import KuaimeiError, NotFound, StoreError, Unstorable
from kuaimei.http.errors import with_status
from kuaimei.settings import RenderingSettings, Settings
from kuaimei.store import Store, StoredTranscript, open_store
from kuaimei.store.analyses import AnalysisResult
from kuaimei.store.due_analyses import AnalysisVersion
from kuaimei.store.quarantine import Broken
from kuaimei.store.ratings import RatingScores
from kuaimei.store.spool import SpoolRun
from kuaimei.store.utterance_record import UtteranceRecord
from tests.support.store.deleting import live
from tests.support.store.searching import file_hits
from tests.support.store.talking import answer, hear, now, recording, run_jobs, sound

POISON = {
    "nul": "你\x00好",
    "high": "你\ud83d好",
    "low": "\udc00你好",
    "last": "\U0010ffff\uffff\ufffe",
    "long": "好" * 350_000,
    "backwards": "\u202e\u2067נכון\u200f",
    "escape": "\x1b[2J\x07\x7f\x85",
}


def kept(text: str) -> str:
    """As it is kept: nothing is left out but what no text may hold."""
    return text.replace("\x00", "").replace("\ud83d", "\ufffd").replace("\udc00", "\ufffd")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With both tiers."""
    return settings.model_copy(update={"rendering": RenderingSettings()})


@pytest.mark.parametrize("text", POISON.values(), ids=POISON)
async def test_whatever_is_said_or_written_is_kept(settings: Settings, text: str) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a", client={"name": "test"})
        hear(recorder, 1, sound(4000))
        recorder(FinalTranscript(1, now(), text, "zh"))
        recorder(ReplyStarted(1, now(), "reply_1"))
        recorder(ReplyText(1, now(), "reply_1", text))
        recorder(ClauseReady(1, now(), "reply_1", 0, text, 0.0, 100.0))
        recorder(ReplyFinished(1, now(), "reply_1", text, 100.0))
        recorder(ReplyInterrupted(1, now(), "reply_1", 50.0, text, "barge_in"))
        recorder(TurnFailed(1, now(), "synthesis", "engine", text, "抱歉"))
        recorder(UserText(2, now(), text))
        recorder(SpeechStarted(3, now(), 0.0))
        recorder(SpeechAudio(3, now(), sound(512)))
        recorder(SpeechRejected(3, now(), text))
        await recorder.close()
        assert await store.flush()
        statistics = await store.statistics()
        assert (statistics.unsaved, statistics.failures, statistics.broken) == (0, 0, 0)
        user, reply, typed, cough = await store.utterances("sess_a")
        said = {one.transcript for one in (user, reply, typed, cough)}
        assert said == {kept(text)}
        assert reply.heard_text == kept(text)
        (first, *_) = await store.turns("sess_a")
        assert first.failures[0]["message"] == kept(text)[:500]


async def test_a_time_that_is_no_number_costs_no_utterance(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        recorder(UserText(1, now(), "打字"))
        timing = TurnLatencies(endpoint_ms=float("nan"), first_audio_ms=float("inf"), last_audio_ms=7.0)
        recorder(TurnMetrics(1, now(), timing))
        await recorder.close()
        (turn,) = await store.turns("sess_a")
        found = [turn.timings[name] for name in ("endpoint_ms", "first_audio_ms", "last_audio_ms")]
        assert found == [None, None, 7.0]


async def test_a_character_in_two_pieces_is_one_again(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        recorder(ReplyStarted(1, now(), "reply_1"))
        for piece in ("笑\ud83d", "\ude00。", "\ud83d"):
            recorder(ReplyText(1, now(), "reply_1", piece))
        recorder(ReplyInterrupted(1, now(), "reply_1", 0.0, "", "cancelled"))
        await recorder.close()
        (reply,) = await store.utterances("sess_a")
        assert reply.transcript == "笑😀。"


@pytest.mark.parametrize("text", [POISON["nul"], POISON["high"]], ids=["nul", "high"])
async def test_what_a_far_recogniser_says_is_kept(settings: Settings, text: str) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(4000))
        await recorder.close()

        async def transcribe(*_: object) -> StoredTranscript:
            return StoredTranscript(text, "zh")

        await run_jobs(store, transcribe)
        (user,) = await store.utterances("sess_a")
        assert user.transcript == kept(text)


def writers(store: Store, said: dict[str, str]) -> Iterator[tuple[str, Callable[[str], Awaitable[Any]]]]:
    """Everything of the store that takes text: its name, and how it is given one."""
    given: dict[str, Any] = {
        "session": said["session"],
        "utterance": said["reply"],
        "voice": said["voice"],
        "owner": "local",
        "rater": "me",
        "marks": RatingScores(1, 2, 3),
        "name": "transcribe",
        "subject": said["user"],
        "kind": "tiers",
        "first": "hq",
        "second": "fast",
        "swapped": False,
        "trial": "trial_none",
        "choice": "a",
        "title": "t",
        "text": "t",
        "content": b"x",
        "basis": AnalysisVersion("e", "h"),
        "limit": 5,
        "at": datetime.now(UTC),
        "subjects": ["x"],
        "ids": ["x"],
        "group": None,
        "order": None,
        "assignment": None,
    }
    places = (
        store,
        store.voices,
        store.preferences,
        store.ratings,
        store.renderings,
        store.analyses,
        store.deletions,
    )
    for place in places:
        for name, method in inspect.getmembers(place, inspect.iscoroutinefunction):
            if name.startswith("_"):
                continue
            parameters = inspect.signature(method).parameters.values()
            texts = [p.name for p in parameters if p.annotation in (str, "str", str | None)]
            if any(p.default is p.empty and p.name not in (*given, *texts, "columns") for p in parameters):
                continue  # what takes more than that is tried below
            given["kind"] = "utterance" if place is store.deletions else "tiers"
            needed = {p.name: given[p.name] for p in parameters if p.default is p.empty and p.name in given}
            for text in texts:

                async def write(value: str, text: str = text, call: Any = method, rest: Any = needed) -> Any:
                    return await call(**{**rest, text: value})

                yield f"{type(place).__name__}.{name}({text})", write


@pytest.mark.parametrize("text", POISON.values(), ids=POISON)
async def test_every_writer_and_reader_keeps_it_or_refuses_it_for_good(settings: Settings, text: str) -> None:
    """ "Try again" would be no answer to what can never be kept."""
    async with open_store(settings) as store:
        seen: list[str] = []
        life = await live(store, settings)
        for number, name in enumerate([name for name, _ in writers(store, _nobody())], 1):
            if "delet" in (seen or [""])[-1].lower():
                life = await live(store, settings, number)
            ids = {"session": life.session, "user": life.user, "reply": life.reply, "voice": life.voice}
            write = dict(writers(store, ids))[name]
            seen.append(name)
            refused = await refusal(write(text))
            if refused is not None:
                assert with_status(refused).status in (400, 404, 409), (name, str(refused)[:200])
                assert text not in str(refused) or isinstance(refused, NotFound), name
        assert len(seen) > 40
        assert (await store.statistics()).unsaved == 0


async def refusal(work: Awaitable[Any]) -> KuaimeiError | None:
    """With what it is refused; None: it is not."""
    try:
        await work
    except KuaimeiError as error:
        return error
    except IntegrityError:  # documented where it is raised: what it was for is not there
        return NotFound("it is not there")
    return None


def _nobody() -> dict[str, str]:
    return {"session": "sess_x", "user": "utt_x", "reply": "utt_y", "voice": "voice_x"}


@pytest.mark.parametrize("text", POISON.values(), ids=POISON)
async def test_rows_of_other_rooms_keep_it_or_refuse_it_for_good(settings: Settings, text: str) -> None:
    """Where the text is within something else."""
    row = {"owner": "local", "name": "n", "state": "ready", "duration_s": 1.0, "consent": {}, "learning": {}}
    async with open_store(settings) as store:
        life = await live(store, settings)
        assignment = await store.analyses.claim(life.user, AnalysisVersion("e2", "h2"))
        assert assignment is not None
        await store.retry_rendering(life.reply)
        order = await store.renderings.begin(life.reply)
        assert order is not None
        findings = AnalysisResult(text, {text: 1.0}, {text: {"value": 0.5}}, {text: [1]}, 1.0)
        writing: list[Awaitable[Any]] = [
            store.ensure_session("sess_new", {text: text}),
            *(
                store.voices.add(f"voice_{name}", **{**row, name: value})
                for name, value in (
                    ("name", text),
                    ("consent", {"speaker": text}),
                    ("learning", {"error": text}),
                )
            ),
            *(
                store.voices.change(life.voice, **{name: value})
                for name, value in (("name", text), ("error", text), ("transcript", text), ("checks", [text]))
            ),
            store.analyses.save(assignment, findings),
            store.renderings.fail(order, text, final=True),
        ]
        for one in writing:
            refused = await refusal(one)
            if refused is not None:
                assert with_status(refused).status == 400, str(refused)[:200]
                assert text not in str(refused)
        kept_error = (await store.utterance(life.reply)).hq
        assert kept_error is not None
        assert kept_error.error == kept(text)[:500]


UNSTORABLE = secrets.token_hex(20_000)
"""No index takes it."""


@pytest.mark.usefixtures("trouble")
async def test_a_record_that_can_never_be_kept_goes_aside_once_with_its_sound(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    heard = sound(4000)
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a", voice=UNSTORABLE)
        hear(recorder, 1, heard)
        recorder(FinalTranscript(1, now(), "問題", "zh"))
        answer(recorder, 1, "秘密sentinel", sound(4800))
        await recorder.close()
        statistics = await store.statistics()
        assert (statistics.unsaved, statistics.broken, statistics.failures) == (0, 1, 1)
        (user,) = await store.utterances("sess_a")
        np.testing.assert_array_equal((await recording(store, user.id))[0], heard)
        files = sorted((settings.home / "spool" / "broken").iterdir())
        assert [path.suffix for path in files] == [".json", ".pcm"]
        assert files[1].read_bytes() == sound(4800).tobytes()
    lines = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert "cannot be stored" in lines[0]
    assert "秘密" not in caplog.text
    assert UNSTORABLE[:50] not in caplog.text
    started = time.monotonic()
    async with open_store(settings) as store:
        assert time.monotonic() - started < 15.0  # nobody waits the 20 s for which recoveries are waited
        assert ((await store.statistics()).unsaved, (await store.statistics()).broken) == (0, 1)
        # It goes with its session.
        assert await store.delete_session("sess_a")
        assert (await store.statistics()).broken == 0
    assert file_hits(settings.home, "sentinel") == []


@pytest.mark.usefixtures("trouble")
async def test_left_by_a_process_that_died_it_holds_up_no_start(settings: Settings) -> None:
    async with open_store(settings):
        pass
    run = await asyncio.to_thread(SpoolRun.begin, settings.home / "spool")
    for voice in (UNSTORABLE, "zf_a"):
        record = UtteranceRecord(
            session="sess_a", turn=1, speaker="assistant", voice=voice, transcript="好", ended=True
        )
        spool = run.spool(record.id)
        spool.write(0, b"\x01\x00" * 500)
        spool.save(record.model_dump_json().encode())
        spool.close()
    run.close()
    async with open_store(settings) as store:
        statistics = await store.statistics()
        assert (statistics.unsaved, statistics.broken) == (0, 1)
        assert [one.voice for one in await store.utterances("sess_a")] == ["zf_a"]
    assert sorted(path.name for path in (settings.home / "spool").iterdir()) == ["broken"]


@pytest.mark.usefixtures("trouble")
async def test_a_failure_nobody_foresaw_is_not_tried_for_ever(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(settings) as store:

        def fail(*_: object, **__: object) -> Awaitable[bool]:
            raise TypeError("秘密sentinel is not a number")

        monkeypatch.setattr("kuaimei.store.utterance_ingest.insert_rows", fail)
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(4000))
        await recorder.close()
        assert ((await store.statistics()).unsaved, (await store.statistics()).broken) == (0, 1)
    assert "秘密" not in caplog.text


@pytest.mark.usefixtures("trouble")
async def test_what_is_asked_for_and_can_never_be_done_costs_no_recording(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(settings) as store:

        async def fail(*_: object, **__: object) -> None:
            raise Unstorable("a constraint forbids it")

        monkeypatch.setattr(store.renderings, "ask", fail)
        recorder = store.recorder("sess_a")
        answer(recorder, 1, "好的。", sound(4800))
        await recorder.close()
        (reply,) = await store.utterances("sess_a")
        assert reply.state == "stored"
        assert ((await store.statistics()).unsaved, (await store.statistics()).broken) == (0, 0)


@pytest.mark.usefixtures("trouble")
async def test_sound_of_which_nobody_knows_whose_it_is_is_kept_for_a_month(settings: Settings) -> None:
    async with open_store(settings):
        pass
    run = await asyncio.to_thread(SpoolRun.begin, settings.home / "spool")
    for name, text in (("utt_nothing", ""), ("utt_half", '{"session": "sess_')):
        (run.folder / f"{name}.pcm").write_bytes(b"\x01\x00" * 100)
        (run.folder / f"{name}.json").write_text(text)
    (run.folder / "utt_typed.json").write_text("")  # a power cut leaves files of no length
    run.close()
    broken = Broken(settings.home / "spool")
    async with open_store(settings) as store:
        assert (await store.statistics()).broken == 3
    assert [path.name for path in (settings.home / "spool").iterdir()] == ["broken"]
    assert await asyncio.to_thread(broken.expire) == 0
    assert await asyncio.to_thread(broken.expire, time.time() + 31 * 86_400) == 3
    assert broken.count == 0


async def test_a_check_that_fails_is_no_deleted_session(settings: Settings, tmp_path: Path) -> None:
    """A row that breaks a rule of the table was once taken for one whose session was deleted, and dropped."""
    async with open_store(settings) as store:
        async with store._database.begin() as connection:
            await connection.exec_driver_sql(
                "alter table sessions add constraint never check (title is null)"
            )
        await store.ensure_session("sess_a")
        with pytest.raises(Unstorable, match="SQLSTATE 23514") as told:
            await store.rename_session("sess_a", "秘密sentinel")
        assert "秘密" not in str(told.value)
        assert isinstance(told.value, StoreError)
