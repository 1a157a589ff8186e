"""Epic 3, second half: how people spoke."""

import csv
import io
import math
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from pytest_bdd import given, parsers, scenarios, then, when

from kuaimei.analysis.head import Head, shipped_head
from kuaimei.analysis.head_store import keep_head, load_head, undo_head
from kuaimei.analysis.job import Scored
from kuaimei.analysis.service import AnalysisService
from kuaimei.analysis.types import SCORES
from kuaimei.dialogue.events import SpeechAudio, SpeechRejected, SpeechStarted, UserText
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.scheduling import Scheduler
from kuaimei.runtime import Runtime
from kuaimei.settings import AnalysisSettings, Settings
from kuaimei.store import Recorder, Store, UtteranceRow, open_store
from tests.features.world import World
from tests.integration.store.test_analyses import complete, lacking
from tests.integration.store.test_recovery import reached, victim
from tests.support.server.app_server import InMemoryRuntime, Served, quick_engines, serving
from tests.support.store.analysing import SAID, analysing, voice
from tests.support.store.talking import eventually, frames, hear, now, take_turn

scenarios("analysis.feature")

SESSION = "sess_a"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With analysis."""
    return settings.model_copy(update={"analysis": AnalysisSettings()})


@asynccontextmanager
async def _runtime(
    settings: Settings, idle_monitor: IdleMonitor
) -> AsyncIterator[tuple[Served, Store, AnalysisService]]:
    """The real store, the real analysis and its page's server."""
    server = settings.server.model_copy(update={"port": 0})
    settings = settings.model_copy(update={"server": server})
    async with open_store(settings) as store, analysing(store, settings, idle_monitor) as room:
        engines, schedulers = quick_engines(), (Scheduler("cores", 2),)
        runtime = Runtime(settings, engines, store, (), schedulers, idle_monitor, analysis=room)
        async with serving(cast(InMemoryRuntime, runtime)) as served:
            yield served, store, room


def _open(world: World, settings: Settings) -> None:
    note = world.note
    note.idle_monitor = IdleMonitor(settle_s=0.0)
    note.served, note.store, note.room = world.enter(_runtime(settings, note.idle_monitor))
    note.http, note.told = world.http(note.served), []
    world.enter(_listening(note.room, note.told))


@asynccontextmanager
async def _listening(room: AnalysisService, told: list[Scored]) -> AsyncIterator[None]:
    with room.announcements.subscribe(SESSION, told.append):
        yield


def _said(recorder: Recorder, turn: int) -> None:
    take_turn(recorder, turn, SAID, voice(1.5 + turn / 10), "好的。", voice(1.6, 220.0, 24_000))


async def _record(store: Store, count: int) -> None:
    recorder = store.recorder(SESSION, voice="zf_a")
    for turn in range(1, count + 1):
        _said(recorder, turn)
    await recorder.close()
    assert await store.flush()


async def _utterances(store: Store) -> Sequence[UtteranceRow]:
    assert await store.flush()
    return [one for one in await store.utterances(SESSION) if one.speaker == "user"]


def _analysis(world: World, utterance: str) -> dict[str, Any]:
    body: dict[str, Any] = world.note.http.get(f"/api/recordings/{utterance}/analysis").json()
    return body


@given("小美說過一句清楚的話，已經分析")
def _(world: World, settings: Settings) -> None:
    _analysed(world, settings, 1)


@given(parsers.parse("小美說過 {count:d} 句清楚的話，已經分析"))
def _(world: World, settings: Settings, count: int) -> None:
    _analysed(world, settings, count)


def _analysed(world: World, settings: Settings, count: int) -> None:
    _open(world, settings)
    world.run(_record(world.note.store, count))
    world.run(eventually(lambda: complete(world.note.store)))
    world.note.mine = world.run(_utterances(world.note.store))
    world.note.last = _analysis(world, world.note.mine[-1].id)


@then("它有自信、穩定、親切三個 0 到 1 的分數")
def _(world: World) -> None:
    scores = world.note.last["scores"]
    assert set(scores) == set(SCORES) == {"confidence", "stability", "affability"}
    assert all(0.0 < score["value"] < 1.0 for score in scores.values())


@then("每個分數列出各特徵的貢獻，加起來就是那個分數")
def _(world: World) -> None:
    for score in world.note.last["scores"].values():
        amounts = [part["amount"] for part in score["contributions"]]
        assert len(amounts) > 2
        whole = score["bias"] + sum(amounts)
        assert score["value"] == pytest.approx(1.0 / (1.0 + math.exp(-whole)), abs=1e-4)


@then("連線中的人收到了分析完成的通知")
def _(world: World) -> None:
    assert world.note.mine[-1].id in [one.utterance for one in world.note.told]


@given("有人正在說話")
def _(world: World, settings: Settings) -> None:
    _open(world, settings)

    async def begin() -> None:
        world.note.watch = world.note.idle_monitor.watch("sess_b")
        world.note.watch(SpeechStarted(1, now(), 0.0))

    world.run(begin())


@when("另一段對話裡有一句話等著分析")
def _(world: World) -> None:
    world.run(_record(world.note.store, 1))
    (one,) = world.run(_utterances(world.note.store))
    world.note.waiting = one.id


@then("它還沒有分數")
def _(world: World) -> None:
    assert _analysis(world, world.note.waiting)["state"] == "waiting"


@when("沒有人說話了")
def _(world: World) -> None:
    async def end() -> None:
        world.note.watch.close()

    world.run(end())


@then("它有了分數")
def _(world: World) -> None:
    path = f"/api/recordings/{world.note.waiting}/analysis"
    assert world.note.http.until(path, lambda body: body["state"] == "scored")["scores"]


# Beside oneself.


@then("最後一句與她先前的 5 句比較")
def _(world: World) -> None:
    compared = [score["relative"]["utterances"] for score in world.note.last["scores"].values()]
    assert compared == [5, 5, 5]


@then("比較說出平常的值與差多少")
def _(world: World) -> None:
    for score in world.note.last["scores"].values():
        relative = score["relative"]
        assert relative["difference"] == pytest.approx(score["value"] - relative["usual"])


@then("最後一句沒有與平常的比較")
def _(world: World) -> None:
    assert [score["relative"] for score in world.note.last["scores"].values()] == [None, None, None]


# Reasons.


def _typed(recorder: Recorder) -> None:
    recorder(UserText(1, now(), "打字"))


def _cough(recorder: Recorder) -> None:
    recorder(SpeechStarted(1, now(), 0.0))
    for frame in frames(voice(0.3)):
        recorder(SpeechAudio(1, now(), frame))
    recorder(SpeechRejected(1, now(), ""))


def _short(recorder: Recorder) -> None:
    hear(recorder, 1, voice(0.5))


CONTENTS = {"打字": _typed, "一聲咳嗽": _cough, "太短的一句話": _short}


@given(parsers.parse("小美這段對話裡有{what}"))
def _(world: World, settings: Settings, what: str) -> None:
    _open(world, settings)

    async def happen() -> None:
        recorder = world.note.store.recorder(SESSION)
        CONTENTS[what](recorder)
        await recorder.close()
        assert await world.note.store.flush()

    world.run(happen())


@when("都分析過了")
def _(world: World) -> None:
    world.run(eventually(lambda: complete(world.note.store)))
    world.note.mine = world.run(_utterances(world.note.store))


REASONS = {"沒有錄音": "no_audio", "不是說話": "not_speech", "太短": "too_short"}


@then(parsers.parse("那一句沒有分數，原因是「{reason}」"))
def _(world: World, reason: str) -> None:
    (one,) = world.note.mine
    world.note.last = _analysis(world, one.id)
    assert (world.note.last["state"], world.note.last["reason"]) == ("unscored", REASONS[reason])
    assert world.note.last["scores"] is None


@then("原因也用一句話說明")
def _(world: World) -> None:
    assert len(world.note.last["why"]) > 10


@given("許多人正在說話，程序被強制結束")
def _(world: World, settings: Settings) -> None:
    async def killed() -> None:
        async with victim(settings, "analyse", "tests.support.store.analysing") as process:
            await reached(process, "analysed")
            process.send_signal(signal.SIGKILL)

    world.run(killed())


@when("系統重新啟動並且都分析過了")
def _(world: World, settings: Settings) -> None:
    _open(world, settings)
    world.run(eventually(lambda: complete(world.note.store)))


@then("每一句都有分數或原因")
def _(world: World) -> None:
    assert world.run(lacking(world.note.store)) == 0
    assert world.run(world.note.room.progress()).utterances >= 4


# Ratings.


@when("評分者要一段來聽")
def _(world: World) -> None:
    world.note.clip = world.note.http.get("/api/labelling/next", params={"rater": "阿明"}).json()


@then("他得到一段錄音")
def _(world: World) -> None:
    assert world.note.http.get(world.note.clip["audio"]).content.startswith(b"fLaC")


@when("他給自信 4 分、親切 5 分")
def _(world: World) -> None:
    opinion = {"confidence": 4, "affability": 5, "rater": "阿明"}
    assert world.note.http.post(f"/api/labelling/{world.note.clip['id']}", json=opinion).status_code == 200


@then("下一段是另一段")
def _(world: World) -> None:
    following = world.note.http.get("/api/labelling/next", params={"rater": "阿明"}).json()
    assert following["id"] != world.note.clip["id"]


@then("匯出的評分表裡有那一列")
def _(world: World) -> None:
    rows = _rows(world.note.http.get("/api/labelling/labels.csv").content)
    assert rows == [
        {
            "utterance": world.note.clip["id"],
            "confidence": "4",
            "stability": "",
            "affability": "5",
            "rater": "阿明",
        }
    ]


def _rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


@when(parsers.parse("評分者送出{opinion}"))
def _(world: World, opinion: str) -> None:
    marks = {"六分": {"confidence": 6}, "什麼都沒": {}}[opinion]
    body = {**marks, "rater": "阿明"}
    world.note.answer = world.note.http.post(f"/api/labelling/{world.note.mine[0].id}", json=body)


@then("評分被拒絕")
def _(world: World) -> None:
    assert world.note.answer.status_code == 400
    assert len(_rows(world.note.http.get("/api/labelling/labels.csv").content)) == 0


@given("單位用自己的評分校準過")
def _(world: World, settings: Settings) -> None:
    own = Head(**{**shipped_head().model_dump(), "version": "20260301T000000"})
    keep_head(settings.home, own)


@then("之後的分數用校準過的權重")
def _(settings: Settings) -> None:
    assert load_head(settings.home).version == "20260301T000000"


@when("管理者還原校準")
def _(settings: Settings) -> None:
    undo_head(settings.home)


@then("之後的分數用原來的權重")
def _(settings: Settings) -> None:
    assert load_head(settings.home).version == shipped_head().version


# Sheets.


@given(parsers.parse("小美打過「{words}」這句話"))
def _(world: World, settings: Settings, words: str) -> None:
    _open(world, settings)

    async def typed() -> None:
        recorder = world.note.store.recorder(SESSION)
        recorder(UserText(1, now(), words))
        await recorder.close()
        assert await world.note.store.flush()

    world.run(typed())


@when("她匯出那段對話的分析表")
def _(world: World) -> None:
    answer = world.note.http.get(f"/api/sessions/{SESSION}/analysis", params={"format": "csv"})
    world.note.rows = _rows(answer.content)


@then("表裡每句一列，有分數和特徵，或有原因")
def _(world: World) -> None:
    rows = world.note.rows
    assert len(rows) == 4
    mine = [row for row in rows if row["speaker"] == "user"]
    assert all(0.0 < float(row[name]) < 1.0 for row in mine for name in SCORES)
    assert all(float(row["rate_syl_s"]) > 0 for row in mine)
    assert all(row["confidence"] or row["reason"] for row in rows)


@then("那一格以文字保存")
def _(world: World) -> None:
    assert [row["transcript"] for row in world.note.rows] == ["'=1+1"]
