"""Epic 5: voices that people lend."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_bdd import given, parsers, scenarios, then, when

from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import from_float, to_float
from kuaimei.dialogue.events import SpeechStarted
from kuaimei.errors import NotFound
from kuaimei.runtime import voice_training_state
from kuaimei.settings import Settings
from kuaimei.system.supervision import Supervisor
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.training import job
from kuaimei.voices.types import Voice
from tests.features.real_runtime import RealRuntime
from tests.features.world import Http, World
from tests.integration.enrolment.test_real import MORE, TEXT, at_home
from tests.support.server.app_server import InMemoryRuntime, quick_engines, serving
from tests.support.signals import chords, echoing, hiss
from tests.support.store.talking import sound, take_turn
from tests.support.voices.running_library import RunningLibrary, audio, half_made, kept, living, speech

scenarios("voices.feature")

FIELDS = {"name": "媽媽", "consent_speaker": "王美美", "consent_statement": "可以"}


@pytest.fixture(autouse=True)
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """News of learning is written when it comes: nobody has to wait a second for it."""
    monkeypatch.setattr(job, "_UPDATE_INTERVAL_S", 0.02)


@asynccontextmanager
async def _served(settings: Settings, **voices: Any) -> AsyncIterator[tuple[RunningLibrary, Any]]:
    async with living(settings, **voices) as runtime:
        engines = quick_engines(synthesizer=runtime.bank)
        test_server = InMemoryRuntime(
            settings=runtime.library.context.settings, engines=engines, voices=runtime.library
        )
        async with serving(test_server) as served:
            yield runtime, served


def _open(world: World, settings: Settings, **voices: Any) -> RunningLibrary:
    """The library behind a server; what is learned is learned by a process that does as it is told."""
    runtime, served = world.enter(_served(settings, **voices))
    world.note.runtime, world.note.home, world.note.http = runtime, settings.home, world.http(served)
    return runtime


def _upload(http: Http, data: bytes, file: str = "mum.flac", **changed: str | None) -> Any:
    fields = {**FIELDS, **changed}
    given = {field: text for field, text in fields.items() if text is not None}
    return http.post("/api/voices", data=given, files={"file": (file, data, "application/octet-stream")})


# With the real models.


@given("一段約 8 秒的清楚錄音")
def _(world: World, runtime: RealRuntime) -> None:
    world.note.http, world.note.home = runtime.http, runtime.runtime.settings.home
    world.note.data = encode(at_home(runtime.pcm(TEXT), runtime.pcm(MORE)), RATE, "flac")


@when("小美上傳它，寫明是誰、同意什麼")
def _(world: World) -> None:
    answer = _upload(world.note.http, world.note.data)
    assert answer.status_code == 201, answer.text
    world.note.body = answer.json()
    world.note.voice = world.note.body["id"]


@then("她立刻看到正在準備")
def _(world: World) -> None:
    assert world.note.body["state"] == "preparing"


@then("準備好之後列在聲音清單裡")
def _(world: World) -> None:
    world.note.http.until(f"/api/voices/{world.note.voice}", lambda body: body["state"] == "ready")
    listed = world.note.http.get("/api/voices").json()["data"]
    assert world.note.voice in [one["id"] for one in listed]


@when(parsers.parse("她請那個聲音說「{words}」"))
def _(world: World, words: str) -> None:
    body = {"input": words, "voice": world.note.voice, "response_format": "wav"}
    world.note.answer = world.note.http.post("/v1/audio/speech", json=body)


@then("她聽到一段聲音")
def _(world: World) -> None:
    assert world.note.answer.status_code == 200
    assert len(world.note.answer.content) > 30_000


@when("她刪除那個聲音")
def _(world: World) -> None:
    assert world.note.http("DELETE", f"/api/voices/{world.note.voice}").status_code == 204


@then("磁碟上沒有那個聲音的任何檔案")
def _(world: World) -> None:
    assert kept(world.note.home) == []


# Consent.


@given(parsers.parse("小美上傳了一個聲音，同意的人是「{name}」"))
def _(world: World, settings: Settings, name: str) -> None:
    runtime = _open(world, settings, learn="none")
    answer = _upload(world.note.http, audio(2.0, 2.5, 3.0), consent_speaker=name)
    assert answer.status_code == 201
    world.note.voice = answer.json()["id"]
    world.run(runtime.until(world.note.voice, lambda voice: voice.state == "ready"))


@given(parsers.parse("系統用那個聲音回答過「{words}」"))
def _(world: World, words: str) -> None:
    async def answered() -> str:
        store = world.note.runtime.store
        recorder = store.recorder("sess_spoken", voice=world.note.voice)
        take_turn(recorder, 1, "你好", sound(8000), words, sound(8000))
        await recorder.close()
        reply = (await store.utterances("sess_spoken"))[-1]
        assert reply.bytes
        identity: str = reply.id
        return identity

    world.note.reply = world.run(answered())


@then(parsers.parse("「{words}」這句話還在"))
def _(world: World, words: str) -> None:
    kept_reply = world.run(world.note.runtime.store.utterance(world.note.reply))
    assert kept_reply.transcript == words


@then("它的聲音要不到")
def _(world: World) -> None:
    for tier in ("fast", "hq"):
        with pytest.raises(NotFound):
            world.run(world.note.runtime.store.open_audio(world.note.reply, tier=tier))


@when("她查看那個聲音")
def _(world: World) -> None:
    world.note.body = world.note.http.get(f"/api/voices/{world.note.voice}").json()


@then(parsers.parse("同意紀錄寫著「{name}」、同意的內容與時間"))
def _(world: World, name: str) -> None:
    consent = world.note.body["consent"]
    assert (consent["speaker"], consent["statement"]) == (name, "可以")
    assert consent["at"]


@given("一段清楚的錄音")
def _(world: World, settings: Settings) -> None:
    _open(world, settings, learn="none")
    world.note.data = audio(2.0, 2.5, 3.0)


NAMES = {"名字": "name", "說話的人": "consent_speaker", "同意的內容": "consent_statement"}


@when(parsers.parse("小美上傳時沒有填{field}"))
def _(world: World, field: str) -> None:
    missing: dict[str, Any] = {NAMES[field]: None}
    world.note.answer = _upload(world.note.http, world.note.data, **missing)


@then(parsers.parse("上傳被拒絕，說明提到{field}"))
def _(world: World, field: str) -> None:
    assert world.note.answer.status_code == 400
    assert NAMES[field] in world.note.answer.json()["error"]["message"]


@then("什麼都沒有留下")
def _(world: World) -> None:
    assert world.note.runtime.files() == []
    assert world.run(world.note.runtime.store._jobs.counts()) == {}


# What cannot be used: heard by the real models, and made of sounds.

DAMAGE: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "音量開到破音": lambda good: np.clip(4 * good / np.abs(good).max(), -1, 1),
    "背景很吵": lambda good: hiss(good, 4),
    "回音很重": lambda good: echoing(good, 1.8),
    "背景有音樂": lambda good: chords(good, 0.05),
    "非常小聲": lambda good: good * 0.004,
}


@given(parsers.parse("一段清楚的說話，{damage}"))
def _(world: World, runtime: RealRuntime, damage: str) -> None:
    good = to_float(at_home(runtime.pcm(TEXT), runtime.pcm(MORE))).astype(np.float64)
    world.note.http = runtime.http
    world.note.data = encode(from_float(DAMAGE[damage](good)), RATE, "flac")


CHECKS = {"破音": "clipping", "雜訊": "noise", "回音": "reverberation", "音樂": "music", "音量": "loudness"}


@then(parsers.parse("上傳被拒絕，因為{reason}不合格，並附上中文的建議"))
def _(world: World, reason: str) -> None:
    assert world.note.answer.status_code == 422, world.note.answer.text
    checks = world.note.answer.json()["error"]["checks"]
    refused = {one["check"]: one["advice"] for one in checks if one["verdict"] == "refused"}
    assert refused[CHECKS[reason]]["zh"]


@given("改名成 .wav 的 PDF")
def _(world: World, settings: Settings) -> None:
    _bad(world, settings, b"%PDF-1.7\n" + b"1 0 obj << >> endobj\n" * 400)


@given("五秒的安靜")
def _(world: World, settings: Settings) -> None:
    _bad(world, settings, encode(from_float(np.zeros(RATE * 5)), RATE, "flac"))


@given("只有一秒半的說話")
def _(world: World, settings: Settings) -> None:
    _bad(world, settings, audio(0.6, 0.9))


@given("破音的錄音")
def _(world: World, settings: Settings) -> None:
    clipped = np.clip(speech(4.0) / 1500.0, -0.5, 0.5)
    _bad(world, settings, encode(from_float(clipped), RATE, "flac"))


@given("很小的檔案，展開有兩小時")
def _(world: World, settings: Settings) -> None:
    _bad(world, settings, encode(np.zeros(8000 * 7200, np.int16), 8000, "flac"))


def _bad(world: World, settings: Settings, data: bytes) -> None:
    _open(world, settings, learn="none")
    world.note.data = data


@when("小美上傳它")
def _(world: World) -> None:
    world.note.answer = _upload(world.note.http, world.note.data, "voice.wav")


TOLD = {
    "不是聲音檔": "not in a supported audio format",
    "說話不到三秒": "Less than 3 seconds",
    "破音": "clipped",
    "超過十分鐘": "longer than 600 s",
}


@then(parsers.re("上傳被拒絕，因為(?P<reason>[^，]+)$"))
def _(world: World, reason: str) -> None:
    assert world.note.answer.status_code in {400, 422}
    assert TOLD[reason] in world.note.answer.json()["error"]["message"]


@when("小美上傳它，附上完全不同的逐字稿")
def _(world: World) -> None:
    wrong = "完全不一樣的另外一段話，跟錄音沒有關係。"
    world.note.answer = _upload(world.note.http, world.note.data, transcript=wrong)


@then("上傳被拒絕，指出不對的是逐字稿")
def _(world: World) -> None:
    assert world.note.answer.status_code == 422
    check = world.note.answer.json()["error"]["checks"][-1]
    assert (check["check"], check["verdict"]) == ("transcript", "refused")
    assert check["advice"]["zh"]


# Deleting.


@then("聲音、試聽與參考錄音都要不到")
def _(world: World) -> None:
    for path in ("", "/sample", "/reference"):
        assert world.note.http.get(f"/api/voices/{world.note.voice}{path}").status_code == 404


@given("一個正在背景學習的聲音")
def _(world: World, settings: Settings) -> None:
    runtime = _open(world, settings, learn="style")
    runtime.order(style=[["progress", 0.2], ["progress", 0.4], ["hang", 0]])

    async def begin() -> Voice:
        voice = await runtime.add()
        return await runtime.until(
            voice.id, lambda one: one.learning.state == "running" and one.learning.progress > 0.3
        )

    world.note.voice = world.run(begin()).id
    (run,) = runtime.runs
    world.note.pid = run["pid"]


@then("學習的程序結束了")
def _(world: World) -> None:
    stat = Path(f"/proc/{world.note.pid}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"


# Learning.


@given(parsers.parse("一個聲音學習之後的相似度是 {similarity:g}"))
def _(world: World, settings: Settings, similarity: float) -> None:
    runtime = _open(world, settings, learn="style")
    runtime.order(style=[["done", similarity]])

    async def learned() -> Voice:
        voice = await runtime.add()
        return await runtime.until(voice.id, lambda one: one.learning.state == "done")

    world.note.learned = world.run(learned())


@then(parsers.parse("它叫做「{label}」"))
def _(world: World, label: str) -> None:
    assert world.note.learned.label == {"相似音色": "similar", "複製音色": "cloned"}[label]


@when("有人開始說話")
def _(world: World) -> None:
    async def speak() -> None:
        world.note.watch = world.note.runtime.idle_monitor.watch("sess")
        world.note.watch(SpeechStarted(1, 0.0, 0.0))

    world.run(speak())


@then("學習顯示暫停")
def _(world: World) -> None:
    world.run(world.note.runtime.until(world.note.voice, lambda one: one.learning.state == "paused"))


@when("說完了")
def _(world: World) -> None:
    async def end() -> None:
        world.note.watch.close()

    world.run(end())


@then("學習繼續")
def _(world: World) -> None:
    world.run(world.note.runtime.until(world.note.voice, lambda one: one.learning.state == "running"))
    assert world.note.runtime.runs[-1]["pid"] == world.note.pid


@when("小美取消學習，再要求繼續")
def _(world: World) -> None:
    http, path = world.note.http, f"/api/voices/{world.note.voice}/learn"
    assert http.post(f"{path}/cancel").json()["learning"]["state"] == "cancelled"
    world.note.runtime.order(style=[["progress", 0.2], ["progress", 0.4], ["done", 0.7]])
    assert http.post(path).status_code == 200


@then("學習從停下的地方接著做完")
def _(world: World) -> None:
    world.run(world.note.runtime.until(world.note.voice, lambda one: one.learning.state == "done"))
    assert [run["from"] for run in world.note.runtime.runs] == [0, 2]


@given("一個聲音的學習程序一直死掉")
def _(world: World, settings: Settings) -> None:
    runtime = _open(world, settings, learn="style")
    runtime.order(style=[["die", int(signal.SIGKILL)]] * 5)

    async def failed() -> Voice:
        voice = await runtime.add()
        return await runtime.until(voice.id, lambda one: one.learning.state == "failed")

    world.note.failed = world.run(failed())


@then("學習標明失敗並說明原因")
def _(world: World) -> None:
    assert "memory" in world.note.failed.learning.error


@then("那個聲音仍然可以說話")
def _(world: World) -> None:
    body = {"input": "你好", "voice": world.note.failed.id, "response_format": "pcm"}
    assert world.note.http.post("/v1/audio/speech", json=body).status_code == 200


# Changing.


@when(parsers.parse("她把名字改成「{name}」，逐字稿改成「{transcript}」"))
def _(world: World, name: str, transcript: str) -> None:
    change = {"name": name, "transcript": transcript}
    world.note.body = world.note.http("PATCH", f"/api/voices/{world.note.voice}", json=change).json()


@then(parsers.parse("那個聲音叫「{name}」，逐字稿是「{transcript}」"))
def _(world: World, name: str, transcript: str) -> None:
    assert (world.note.body["name"], world.note.body["transcript"]) == (name, transcript)


@when("另一個人想看、想改、想刪那個聲音")
def _(world: World) -> None:
    async def attempts() -> int:
        library, voice, refused = world.note.runtime.library, world.note.voice, 0
        for attempt in (
            library.voice(voice, "other"),
            library.change(voice, "other", name="x"),
            library.delete(voice, "other"),
        ):
            with pytest.raises(NotFound):
                await attempt
            refused += 1
        return refused

    world.note.refused = world.run(attempts())


@then("對他來說那個聲音不存在")
def _(world: World) -> None:
    assert world.note.refused == 3
    assert world.note.http.get(f"/api/voices/{world.note.voice}").json()["name"] == "媽媽"


# The environment in which voices are learned.


@asynccontextmanager
async def _making(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Event]:
    """The environment is half made until the event is set."""
    begun, finish = half_made(monkeypatch)
    async with voice_training_state(world.note.runtime.library, Supervisor(), after_s=0.0):
        await begun.wait()
        yield finish


@given("學習環境正在背景準備的系統")
def _(world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    _open(world, settings, learn="style", python="", environment="cpu")
    world.note.finish = world.enter(_making(world, monkeypatch))


@given("設定為不要學習環境的系統")
def _(world: World, settings: Settings) -> None:
    _open(world, settings, learn="style", python="", environment="off")


@when("小美在這時上傳了一個聲音")
def _(world: World) -> None:
    world.note.voice = _upload(world.note.http, audio(2.0, 2.5, 3.0)).json()["id"]
    world.note.body = world.note.http.until(
        f"/api/voices/{world.note.voice}", lambda body: body["state"] == "ready"
    )


def _speaks(world: World) -> bool:
    body = {"input": "你好", "voice": world.note.voice, "response_format": "pcm"}
    return bool(world.note.http.post("/v1/audio/speech", json=body).status_code == 200)


@then("那個聲音可以說話，並說明學習在等什麼")
def _(world: World) -> None:
    assert _speaks(world)
    learning = world.note.body["learning"]
    assert (learning["state"], learning["error"]) == ("waiting", None)
    assert "unpacking the packages" in learning["reason"]
    told = world.note.http.get("/api/voices/learning").json()
    assert (told["state"], told["progress"]) == ("making", 0.5)


@when("學習環境準備好了")
def _(world: World) -> None:
    async def finish() -> None:
        world.note.finish.set()

    world.run(finish())


@then("那個聲音學到最後")
def _(world: World) -> None:
    path = f"/api/voices/{world.note.voice}"
    learning = world.note.http.until(path, lambda body: body["learning"]["state"] == "done")["learning"]
    assert (learning["step"], learning["reason"]) == ("style", None)


@then("那個聲音可以說話，並說明是設定為不學")
def _(world: World) -> None:
    assert _speaks(world)
    learning = world.note.body["learning"]
    assert learning["state"] == "unavailable"
    assert "SLIM=1" in learning["error"]
