"""The life of a cloned voice, with a real database and a learning process that does as it is told."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import from_float
from kuaimei.dialogue.events import SpeechStarted, TurnEnded
from kuaimei.errors import AudioError, Conflict, NotFound
from kuaimei.runtime import voice_training_state
from kuaimei.settings import Settings
from kuaimei.store.retention import Retention
from kuaimei.system.supervision import Supervisor
from kuaimei.voices import maintenance
from kuaimei.voices.enrolment.pipeline import ReferenceRefused
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.state import TrainingRecord
from kuaimei.voices.training.environment import background_install
from kuaimei.voices.training.environment.paths import places
from kuaimei.voices.training.prompts import TRAINING_PROMPTS, clauses
from kuaimei.voices.types import Voice
from tests.support.store.talking import sound, take_turn
from tests.support.voices.running_library import (
    CONSENT,
    TEXT,
    FakeReferenceBank,
    RunningLibrary,
    audio,
    eventually,
    half_made,
    install_worker,
    living,
    order,
    speech,
)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def dead(pid: int) -> None:
    await eventually(lambda: _so(not alive(pid)))


async def _so(holds: bool) -> bool:
    return holds


def running(voice: Voice) -> bool:
    return voice.learning.state == "running" and voice.learning.progress > 0.3


async def hanging(runtime: RunningLibrary, **more: Any) -> Voice:
    """A voice of which the style is being learned, without end."""
    runtime.order(style=[["progress", 0.2], ["progress", 0.4], ["hang", 0]])
    voice = await runtime.add(**more)
    return await runtime.until(voice.id, running)


async def test_added_it_speaks_and_is_learned_to_the_end(settings: Settings) -> None:
    async with living(settings) as runtime:
        runtime.order(style=[["progress", 0.5], ["done", 0.6]], decoder=[["done", 0.8]])
        told: list[str] = []
        runtime.library.context.changed.append(told.append)
        voice = await runtime.add()
        assert voice.state == "ready"
        assert (voice.transcript, voice.language) == (TEXT, "zh")
        assert voice.pitch is not None
        assert voice.pitch.mean_hz == pytest.approx(200, rel=0.05)
        assert voice.duration_s == pytest.approx(8.74, abs=0.2)
        assert {check.check for check in voice.checks} >= {"speech", "noise", "clipping"}
        assert voice.id in runtime.bank.voices
        learned = await runtime.until(voice.id, lambda v: v.learning.state == "done")
        assert (learned.learning.step, learned.learning.progress) == ("decoder", 1.0)
        assert (learned.similarity, learned.label) == (0.8, "cloned")
        # Each step added one to what the prosody began with.
        assert runtime.bank.learned[voice.id][128:].tolist() == [2.0] * 128
        assert [run["step"] for run in runtime.runs] == ["style", "decoder"]
        job = runtime.runs[1]["said"]
        assert job["reference_tokens"] == list(runtime.bank.tokens(TEXT))
        assert len(job["lines"]) == len(clauses(TRAINING_PROMPTS["zh"]))
        assert job["listener"] is None  # it is not installed here
        assert set(job["encoders"]) == {"ge2e", "campplus"}
        assert told == [voice.id] * 3
        lying = [name.rpartition("/")[2] for name in runtime.files()]
        assert {"reference.flac", "style.npy", "decoder.npz"} <= set(lying)
        # What learning needed goes after it is said that it is done.
        await eventually(lambda: _so(not any(name.endswith(".json") for name in runtime.files())))
        with pytest.raises(Conflict, match="has already been trained"):
            await runtime.library.train(voice.id, "local")
        await runtime.library.delete(voice.id, "local")
        assert runtime.files() == []
        assert voice.id not in runtime.bank.voices
        with pytest.raises(NotFound):
            await runtime.voice(voice.id)
    async with living(settings) as runtime:
        assert list(await runtime.library.voices("local")) == []


async def test_of_a_short_reference_the_style_is_learned_and_no_decoder(settings: Settings) -> None:
    async with living(settings) as runtime:
        runtime.order(style=[["done", 0.6]], decoder=[["done", 0.8]])
        voice = await runtime.add(audio(3.3))
        learned = await runtime.until(voice.id, lambda v: v.learning.state == "done")
        assert (learned.learning.step, [run["step"] for run in runtime.runs]) == ("style", ["style"])
        await runtime.library.train(voice.id, "local", "decoder")
        asked = await runtime.until(voice.id, lambda v: v.learning.state == "failed")
        assert "at least 4 s of speech" in (asked.learning.error or "")
        assert runtime.bank.learned[voice.id][128:].tolist() == [1.0] * 128  # it speaks on as before


async def test_after_a_restart_it_speaks_as_it_was_learned(settings: Settings) -> None:
    async with living(settings, learn="style") as runtime:
        voice = await runtime.add()
        learned = await runtime.until(voice.id, lambda v: v.learning.state == "done")
        assert learned.learning.step == "style"
    async with living(settings, learn="style") as runtime:
        style = runtime.bank.learned[voice.id]
        assert style[128:].tolist() == [1.0] * 128
        assert (await runtime.voice(voice.id)).learning.state == "done"
        again = await runtime.library.train(voice.id, "local", "style")
        assert again.learning.state == "waiting"
        await runtime.until(voice.id, lambda v: v.learning.state == "done")
        # Learned again is learned anew: from the beginning, not from what was learned.
        assert runtime.bank.learned[voice.id].tolist() == style.tolist()


async def test_enrolled_by_a_process_that_ended_it_is_prepared_by_the_next(settings: Settings) -> None:
    async with living(settings, working=False) as runtime:
        voice = await runtime.library.add(audio(4.0), name="a", consent=CONSENT, owner="local")
        assert voice.state == "preparing"
    async with living(settings, learn="none") as runtime:
        voice = await runtime.until(voice.id, lambda v: v.state == "ready")
        assert voice.learning.state == "done"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"%PDF-1.7\n" + b"1 0 obj << >> endobj\n" * 400, "not in a supported audio format"),
        (encode(from_float(np.zeros(RATE * 5)), RATE, "flac"), "Less than 3 seconds"),
        (encode(from_float(np.zeros(8000 * 7200)), 8000, "flac"), "longer than 600 s"),  # 2 h in 50 kB
        (audio(0.6, 0.9), "Less than 3 seconds"),
        (encode(from_float(np.clip(speech(4.0) / 1500.0, -0.5, 0.5)), RATE, "flac"), "clipped"),
    ],
    ids=["pdf", "silence", "bomb", "short", "clipped"],
)
async def test_what_cannot_be_used_is_refused_in_a_sentence_and_nothing_is_kept(
    settings: Settings, data: bytes, error: str
) -> None:
    async with living(settings) as runtime:
        with pytest.raises(AudioError, match=error):
            await runtime.add(data)
        assert list(await runtime.library.voices("local")) == []
        assert runtime.files() == []
        assert await runtime.store._jobs.counts() == {}


async def test_a_text_that_is_not_said_is_refused_and_a_longer_one_is_cut(settings: Settings) -> None:
    async with living(settings, learn="none") as runtime:
        with pytest.raises(ReferenceRefused, match="does not match the recording") as refused:
            await runtime.add(transcript="完全不一樣的另外一段話，跟錄音沒有關係。")
        assert refused.value.checks[-1].verdict == "refused"
        assert runtime.files() == []
        voice = await runtime.add(transcript="大家好。今天天气很好，我們去散步！等一下再吃飯。")
        assert voice.transcript == "今天天气很好，我們去散步！"
        corrected = await runtime.library.change(voice.id, "local", name="阿姨", transcript="今天天氣很好")
        assert (corrected.name, corrected.transcript) == ("阿姨", "今天天氣很好")


async def test_it_speaks_although_learning_failed(settings: Settings) -> None:
    async with living(settings) as runtime:
        runtime.order(style=[["noise", "Traceback"], ["noise", '{"event": 3}'], ["fail", "不行 because"]])
        voice = await runtime.add()
        failed = await runtime.until(voice.id, lambda v: v.learning.state == "failed")
        assert failed.learning.error == "不行 because"
        assert failed.state == "ready"
        runtime.order()
        await runtime.library.train(voice.id, "local", "style")
        await runtime.until(voice.id, lambda v: v.learning.state == "done")


async def test_a_process_that_dies_is_begun_again_where_it_was(settings: Settings) -> None:
    async with living(settings, learn="style") as runtime:
        deaths = [["die", signal.SIGKILL], ["die", signal.SIGSEGV]]
        runtime.order(style=[["progress", 0.5], *deaths, ["done", 0.5]])
        voice = await runtime.add()
        await runtime.until(voice.id, lambda v: v.learning.state == "done")
        assert [run["from"] for run in runtime.runs] == [0, 2, 3]


async def test_one_that_dies_again_and_again_is_given_up(settings: Settings) -> None:
    async with living(settings, learn="style") as runtime:
        runtime.order(style=[["die", signal.SIGKILL]] * 5)
        voice = await runtime.add()
        failed = await runtime.until(voice.id, lambda v: v.learning.state == "failed")
        assert "memory" in (failed.learning.error or "")
        assert len(runtime.runs) == 3


async def test_cancelled_it_stops_and_goes_on_when_asked(settings: Settings) -> None:
    async with living(settings, learn="style") as runtime:
        voice = await hanging(runtime)
        assert voice.learning.similarity == 0.2
        assert voice.label == "similar"
        (run,) = runtime.runs
        stopped = await runtime.library.cancel_training(voice.id, "local")
        assert stopped.learning.state == "cancelled"
        assert not alive(run["pid"])
        runtime.order(style=[["progress", 0.2], ["progress", 0.4], ["done", 0.7]])
        await runtime.library.train(voice.id, "local")
        learned = await runtime.until(voice.id, lambda v: v.learning.state == "done")
        assert runtime.runs[1]["from"] == 2
        assert learned.label == "cloned"


async def test_deleted_while_it_is_learned_nothing_is_left(settings: Settings) -> None:
    async with living(settings) as runtime:
        voice = await hanging(runtime)
        (run,) = runtime.runs
        await runtime.library.delete(voice.id, "local")
        assert not alive(run["pid"])
        assert runtime.files() == []
        assert await runtime.store._jobs.counts() == {}
        assert voice.id not in runtime.bank.voices
        assert list(await runtime.library.voices("local")) == []


async def test_what_was_said_in_it_loses_its_sound(settings: Settings) -> None:
    async with living(settings, learn="none") as runtime:
        voice = await runtime.add()
        for session, spoken in (("sess_a", voice.id), ("sess_b", "zf_xiaobei")):
            recorder = runtime.store.recorder(session, voice=spoken)
            take_turn(recorder, 1, "你好", sound(8000), "你好啊", sound(8000))
            await recorder.close()
        await runtime.library.delete(voice.id, "local")
        (_, silent), (_, heard) = [await runtime.store.utterances(name) for name in ("sess_a", "sess_b")]
        assert (silent.transcript, silent.state, silent.bytes) == ("你好啊", "empty", None)
        assert heard.state == "stored"


async def test_what_a_deletion_that_was_cut_off_left_is_silenced_a_moment_later(settings: Settings) -> None:
    async with living(settings, learn="none") as runtime:
        voice = await runtime.add()
        recorder = runtime.store.recorder("sess_a", voice=voice.id)
        take_turn(recorder, 1, "你好", sound(8000), "你好啊", sound(8000))
        await recorder.close()
        await runtime.store.deletions.request("voice", voice.id)  # and no more than that
        assert (await runtime.store.utterances("sess_a"))[-1].state == "stored"
        assert await runtime.store.maintenance.finish_deletions() == 0
        assert (await runtime.store.utterances("sess_a"))[-1].state == "empty"
        assert runtime.files() == []


async def test_deleted_at_any_moment_nothing_is_left(settings: Settings) -> None:
    async with living(settings) as runtime:
        for count in range(5):
            added = await runtime.library.add(audio(4.0), name="a", consent=CONSENT, owner="local")
            for _ in range(5 * count):  # a little later each time
                await asyncio.sleep(0.01)
            await runtime.library.delete(added.id, "local")
        assert runtime.files() == []
        assert await runtime.store._jobs.counts() == {}
        assert not runtime.bank.learned
        for run in runtime.runs:
            await dead(run["pid"])


async def test_what_follows_other_processes_comes_back_after_any_failure(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It once died of a sample that could not be deleted, and nobody heard of it."""
    monkeypatch.setattr(maintenance, "_SWEEP_INTERVAL_S", 0.02)
    async with living(settings, learn="none") as runtime:
        followed: list[str] = []

        async def follow() -> None:
            followed.append("again")
            if len(followed) == 1:
                raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(runtime.library.maintenance, "sync_registrations", follow)
        await eventually(lambda: _so(len(followed) >= 3))


async def test_it_is_held_while_somebody_talks(settings: Settings) -> None:
    async with living(settings, learn="style") as runtime:
        voice = await hanging(runtime)
        (run,) = runtime.runs
        stat = Path(f"/proc/{run['pid']}/stat")
        watch = runtime.idle_monitor.watch("sess")
        watch(SpeechStarted(1, 0.0, 0.0))
        await eventually(lambda: _so(stat.read_text().rpartition(")")[2].split()[0] == "T"))
        await runtime.until(voice.id, lambda v: v.learning.state == "paused")
        watch(TurnEnded(1, 0.0, 0.0, 0.0, "silence"))
        watch.close()
        await runtime.until(voice.id, lambda v: v.learning.state == "running")
        assert alive(run["pid"])
        watch = runtime.idle_monitor.watch("sess")
        watch(SpeechStarted(2, 0.0, 0.0))
        await runtime.until(voice.id, lambda v: v.learning.state == "paused")
        await runtime.library.delete(voice.id, "local")  # a stopped process ends all the same
        assert not alive(run["pid"])


async def test_a_server_that_stops_ends_learning_and_the_next_goes_on(settings: Settings) -> None:
    async with living(settings, learn="style") as runtime:
        voice = await hanging(runtime)
        (run,) = runtime.runs
        runtime.order(style=[["progress", 0.2], ["progress", 0.4], ["done", 0.7]])  # for the next start
    assert not alive(run["pid"])
    async with living(settings, learn="style") as runtime:
        await runtime.until(voice.id, lambda v: v.learning.state == "done")
        assert runtime.runs[-1]["from"] == 2


async def test_a_server_that_is_killed_leaves_no_orphan_and_the_next_goes_on(settings: Settings) -> None:
    victim = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys; from tests.support.voices.killed_process import main; main(*sys.argv[1:])",
        str(settings.home),
        settings.store.database_url,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert victim.stdout is not None
    told = await victim.stdout.readline()
    victim.kill()
    await victim.wait()
    voice, pid = told.decode().split()
    await dead(int(pid))
    order(settings.home, style=[["progress", 0.2], ["progress", 0.4], ["done", 0.7]])
    async with living(settings, learn="style") as runtime:
        await runtime.until(voice, lambda v: v.learning.state == "done")
        assert [run["from"] for run in runtime.runs] == [0, 2]


async def test_where_it_cannot_be_learned_it_is_said_and_learned_once_it_can(settings: Settings) -> None:
    async with living(settings, installed=False) as runtime:
        voice = await runtime.add()
        assert voice.learning.state == "unavailable"
        assert "KUAIMEI_VOICES__PYTHON" in (voice.learning.error or "")
        assert (await runtime.library.train(voice.id, "local")).learning.state == "unavailable"
    async with living(settings) as runtime:
        await runtime.until(voice.id, lambda v: v.learning.state == "done")


async def test_one_that_came_before_the_environment_waits_for_it_and_then_is_learned(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, finish = half_made(monkeypatch)
    async with living(settings, python="", environment="cpu", learn="style") as runtime:
        early = await runtime.add(name="early")
        # Nobody is making it yet.
        assert early.learning.state == "unavailable"
        assert "kuaimei setup" in (early.learning.error or "")
        async with voice_training_state(runtime.library, Supervisor(), after_s=0.0):
            await begun.wait()
            voice = await runtime.add()
            for one in (early, voice):
                learning = (await runtime.voice(one.id)).learning
                assert (learning.state, learning.error) == ("waiting", None)
                assert "unpacking the packages" in (learning.reason or "")
            assert voice.id in runtime.bank.voices  # it speaks
            asked = await runtime.library.train(voice.id, "local")
            assert asked.learning.state == "waiting"
            finish.set()
            for one in (early, voice):
                learned = await runtime.until(one.id, lambda v: v.learning.state == "done")
                assert (learned.learning.step, learned.learning.reason) == ("style", None)
            assert runtime.library.context.environment.state.state == "ready"


async def test_given_up_for_lack_of_the_environment_it_is_taken_up_when_that_comes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def make(*given: Any) -> str:
        install_worker(places(given[0], "cpu", given[2]).python.parent)
        return "done"

    monkeypatch.setattr(background_install, "run_making", make)
    async with living(settings, python="", environment="off", learn="style") as runtime:
        voice = await runtime.add()
        assert voice.learning.state == "unavailable"
        assert "SLIM=1" in (voice.learning.error or "")
    async with (
        living(settings, python="", environment="cpu", learn="style") as runtime,
        voice_training_state(runtime.library, Supervisor(), after_s=0.0),
    ):
        await runtime.until(voice.id, lambda v: v.learning.state == "done")


async def test_one_that_another_version_kept_costs_no_other_its_voice(settings: Settings) -> None:
    async with living(settings, learn="none") as runtime:
        voices = [await runtime.add(name=name) for name in ("a", "b", "c", "d")]
        later = {"step": "style", "state": "dreaming", "progress": 2}
        newer = {**TrainingRecord(state="done", step="style").model_dump(), "colour": "blue"}
        await runtime.store.voices.change(voices[0].id, learning=later)
        await runtime.store.voices.change(voices[1].id, learning=newer, pitch={"hertz": 1})
        await runtime.store.voices.change(voices[2].id, checks=[{"check": 1}], consent={"whose": "mine"})
    async with living(settings, learn="none") as runtime:
        first, second, third, fourth = [await runtime.voice(voice.id) for voice in voices]
        assert all(voice.id in runtime.bank.voices for voice in voices)
        assert (first.learning.state, first.state) == ("failed", "ready")
        assert "another version" in (first.learning.error or "")
        assert (second.learning.state, second.learning.step, second.pitch) == ("done", "style", None)
        assert (third.checks, third.consent.speaker) == ((), "–")
        assert fourth.consent == CONSENT
        assert len(await runtime.library.voices("local")) == 4
        runtime.order(style=[["done", 0.6]])
        await runtime.library.train(first.id, "local", "style")
        await runtime.until(first.id, lambda v: v.learning.state == "done")


async def test_what_is_somebody_elses_is_not_there(settings: Settings) -> None:
    async with living(settings, learn="none") as runtime:
        voice = await runtime.add()
        library = runtime.library
        assert list(await library.voices("other")) == []
        for attempt in (
            library.voice(voice.id, "other"),
            library.reference(voice.id, "other"),
            library.change(voice.id, "other", name="x"),
            library.train(voice.id, "other"),
            library.cancel_training(voice.id, "other"),
            library.delete(voice.id, "other"),
        ):
            with pytest.raises(NotFound):
                await attempt
        assert (await runtime.voice(voice.id)).name == "媽媽"
        assert (await library.reference(voice.id, "local"))[:4] == b"fLaC"


async def test_a_synthesiser_that_copies_is_given_the_recording(settings: Settings) -> None:
    copyist = FakeReferenceBank()
    async with living(settings, copyist=copyist) as runtime:
        voice = await runtime.add()
        assert voice.learning.state == "done"
        audio, transcript = copyist.references[voice.id]
        assert audio[:4] == b"fLaC"
        assert transcript == voice.transcript
        await runtime.library.change(voice.id, "local", transcript="別的話")
        assert copyist.references[voice.id] == (audio, "別的話")
    copyist = FakeReferenceBank()
    async with living(settings, copyist=copyist) as runtime:
        assert list(copyist.references) == [voice.id]
        await runtime.library.delete(voice.id, "local")
        assert not copyist.references


async def test_copied_by_one_synthesiser_it_is_made_ready_for_the_next(settings: Settings) -> None:
    async with living(settings, copyist=FakeReferenceBank()) as runtime:
        voice = await runtime.add()
    async with living(settings, learn="none") as runtime:
        await runtime.until(voice.id, lambda voice: voice.state == "ready")
        assert voice.id in runtime.bank.voices


async def test_no_more_than_allowed(settings: Settings) -> None:
    async with living(settings, learn="none", max_voices=1) as runtime:
        await runtime.add()
        with pytest.raises(Conflict, match="delete one"):
            await runtime.add()


async def test_old_ones_are_deleted(settings: Settings) -> None:
    async with living(settings, learn="none", retention_days=30.0) as runtime:
        await runtime.add()
        store, days = runtime.store, 0
        store.maintenance.retention = Retention(
            store._database,
            wall=lambda: datetime.now(UTC) + timedelta(days=days),
            running_s=lambda: days * 86_400.0,
        )
        while days < 30:
            assert await runtime.library.maintenance.expire() == 0
            days += 1
        assert await runtime.library.maintenance.expire() == 1
        assert runtime.files() == []


async def test_what_another_process_adds_and_deletes_is_followed(settings: Settings) -> None:
    async with living(settings, learn="none") as one, living(settings, learn="none", working=False) as other:
        voice = await one.add()
        assert voice.id not in other.bank.voices
        await other.library.maintenance.sync_registrations()
        assert voice.id in other.bank.voices
        await one.library.delete(voice.id, "local")
        await other.library.maintenance.sync_registrations()
        assert voice.id not in other.bank.voices


def test_pid_of_this_process_is_alive() -> None:
    assert alive(os.getpid())
