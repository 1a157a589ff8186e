"""Epic 9: running it."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_bdd import given, parsers, scenarios, then, when
from websockets.exceptions import ConnectionClosed

from kuaimei.errors import EngineError
from kuaimei.settings import Settings
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.store.postgres.postmaster import find_postmaster
from kuaimei.system.supervision import Supervisor
from tests.features.world import World
from tests.support.fakes import FakeLanguageModel, silence
from tests.support.server.app_server import MemoryArchive, eventually, quick_engines
from tests.support.server.realtime_client import Talk, b64, wire

scenarios("operations.feature")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@given("系統已經啟動，資料庫可用")
def _(world: World) -> None:
    world.note.served = world.serve(store=MemoryArchive())
    world.note.http = world.http(world.note.served)


@given(parsers.parse("背景工作「{task}」一再失敗"))
def _(world: World, task: str, request: pytest.FixtureRequest) -> None:
    tasks: Supervisor = world.note.served.runtime.tasks

    async def fail() -> None:
        raise RuntimeError("broken")

    async def failing() -> None:
        tasks.start(task, fail)
        await eventually(lambda: task in tasks.failing)

    request.addfinalizer(lambda: world.run(tasks.close()))
    world.run(failing())


@then(parsers.parse("它說壞的是「{task}」，並且{usable}"))
def _(world: World, task: str, usable: str) -> None:
    status, state = {"還能用": (200, "degraded"), "不能用": (503, "unavailable")}[usable]
    told = world.note.ready.json()
    assert (world.note.ready.status_code, told["checks"]["tasks"]) == (status, state)
    assert told["failing"] == [task]


@then(parsers.parse("指標裡有「{task}」失敗的次數"))
def _(world: World, task: str) -> None:
    told = world.note.http.get("/metrics").text
    assert re.search(rf'kuaimei_task_failures_total{{task="{task}"}} [1-9]', told)


@given("系統已經啟動，資料庫不見了")
def _(world: World) -> None:
    world.note.http = world.http(world.serve(store=MemoryArchive(away=True)))


@when("監控系統來問")
def _(world: World) -> None:
    world.note.alive, world.note.ready = (world.note.http.get(path) for path in ("/healthz", "/readyz"))


@then("它回答活著")
def _(world: World) -> None:
    assert (world.note.alive.status_code, world.note.alive.json()) == (200, {"status": "ok"})


@then("它回答準備好了")
def _(world: World) -> None:
    assert (world.note.ready.status_code, world.note.ready.json()["status"]) == (200, "ready")


@then("它回答還沒準備好，因為保存的地方不在")
def _(world: World) -> None:
    assert (world.note.ready.status_code, world.note.ready.json()["checks"]["store"]) == (503, "unavailable")


# Figures.


@given("小美說過一句話並聽到回答")
def _(world: World) -> None:
    _once(world, FakeLanguageModel(first_token_s=0.0, token_s=0.0))


@given("小美說的話讓語言模型失敗了一次")
def _(world: World) -> None:
    _once(world, FakeLanguageModel(first_token_s=0.0, token_s=0.0, failure=EngineError("it broke")))


def _once(world: World, model: FakeLanguageModel) -> None:
    served = world.serve(quick_engines(language_model=model))
    talk = world.talk(served)
    world.run(talk.ask())
    world.run(talk.until("kuaimei.turn.timing"))
    world.note.http = world.http(served)


@when("監控系統來取指標")
def _(world: World) -> None:
    world.note.metrics = world.note.http.get("/metrics").text.splitlines()


@then("指標裡有這一輪的各階段時間")
def _(world: World) -> None:
    for stage in ("endpoint_delay", "first_audio"):
        assert f"kuaimei_{stage}_seconds_count 1.0" in world.note.metrics
    assert "kuaimei_turns_total 1.0" in world.note.metrics


@then("指標裡有佇列的深度與連線數")
def _(world: World) -> None:
    assert 'kuaimei_queue_depth{lane="cores"} 0.0' in world.note.metrics
    assert "kuaimei_sessions 1.0" in world.note.metrics


@then("指標裡有一次語言模型階段的失敗")
def _(world: World) -> None:
    assert 'kuaimei_errors_total{kind="engine",stage="thinking"} 1.0' in world.note.metrics


# The machine, and what is set.


@given("權重都已安裝")
def _(world: World) -> None:
    world.note.more = {}


@given("一個沒有權重的資料夾")
def _(world: World, tmp_path: Path) -> None:
    # Not the database's own matter here: nothing is to be started below pytest's folder.
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1"
    world.note.more = {"KUAIMEI_HOME": str(tmp_path / "new"), "KUAIMEI_STORE__DATABASE_URL": nowhere}


@when("執行 kuaimei doctor")
def _(world: World, kuaimei: Run) -> None:
    fails = bool(world.note.more)
    done = kuaimei("doctor", "--json", status=int(fails), **world.note.more)
    world.note.findings = {one["check"]: one for one in json.loads(done.stdout)["findings"]}


@then("每一項檢查都有結果，沒有不合格的")
def _(world: World) -> None:
    wanted = {"python", "cores", "memory", "disk", "asr", "llm", "tts", "database", "port", "gpu"}
    assert wanted <= set(world.note.findings)
    assert [one for one in world.note.findings.values() if one["verdict"] == "fail"] == []


@then("檢查不合格，並說出用哪個指令補上")
def _(world: World) -> None:
    missing = world.note.findings["asr"]
    assert missing["verdict"] == "fail"
    assert "kuaimei" in missing["mend"] or "make setup" in missing["mend"]


@given(parsers.parse("設定「{name}」為「{value}」"))
def _(world: World, name: str, value: str) -> None:
    world.note.setting = {name: value}


@when("啟動系統")
def _(world: World, kuaimei: Run) -> None:
    status = 1 if "KUAIMEI_LLM" in world.note.setting else 2
    world.note.told = kuaimei("serve", "--port", "0", status=status, **world.note.setting).stderr


@then(parsers.parse("它不啟動，並說出「{words}」"))
def _(world: World, words: str) -> None:
    told = [line for line in world.note.told.splitlines() if line.startswith("kuaimei: ")]
    assert len(told) == 1
    assert words in told[0]


@when("執行 kuaimei --version")
def _(world: World, kuaimei: Run) -> None:
    world.note.told = kuaimei("--version").stdout


@then("它說出版本")
def _(world: World) -> None:
    assert world.note.told.startswith("kuaimei ")


# Too long, too often.


@given("閒置 0.6 秒就關閉的系統", target_fixture="talk")
def _(world: World) -> Talk:
    return world.talk(world.serve(idle_timeout_s=0.6))


@when("有人連上之後只送安靜的聲音")
def _(world: World, talk: Talk) -> None:
    async def hum() -> None:
        async def on_and_on() -> None:
            while True:
                await talk.send("input_audio_buffer.append", audio=b64(wire(silence(100))))
                await asyncio.sleep(0.05)

        humming = asyncio.ensure_future(on_and_on())
        with pytest.raises(ConnectionClosed) as closed:
            await talk.next()
        world.note.closed = closed.value
        humming.cancel()
        await asyncio.gather(humming, return_exceptions=True)

    world.run(hum())


@then("那個連線被關閉")
def _(world: World) -> None:
    assert world.note.closed.rcvd is not None
    assert world.note.closed.rcvd.code == 1000


@given("每分鐘只准問 3 次的系統", target_fixture="talk")
def _(world: World) -> Talk:
    world.note.served = world.serve(requests_per_minute=3)
    return world.talk(world.note.served)


@when("小美一口氣問 4 次")
def _(world: World, talk: Talk) -> None:
    async def ask() -> None:
        for _ in range(3):
            await talk.send("response.create")
            await talk.until("response.done")
        await talk.send("response.create")
        world.note.error = await talk.error()

    world.run(ask())


@then("第 4 次被告知太頻繁")
def _(world: World) -> None:
    assert world.note.error["code"] == "rate_limit_exceeded"


@then("阿明照常得到回答")
def _(world: World) -> None:
    other = world.talk(world.note.served)
    world.run(other.send("response.create"))
    assert world.run(other.until("response.done"))["response"]["status"] == "completed"


# Starting, stopping, growing.


@pytest.fixture
def new_folder(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """Surroundings of the command with a data folder in which nothing was started, beside its weights."""
    home = tmp_path / "home"
    home.mkdir(0o700)
    (home / "models").symlink_to(Settings().weights_dir)
    yield {**environment, "KUAIMEI_HOME": str(home)}
    EmbeddedPostgres(home / "postgres", Path(environment["KUAIMEI_STORE__DATABASE_DIR"])).delete()


SERVE = [sys.executable, "-m", "kuaimei", "serve", "--port", "0"]


@given("一個全新的資料夾")
def _(world: World, new_folder: dict[str, str]) -> None:
    world.note.surroundings = new_folder


@given(parsers.parse("一個全新的資料夾，只准啟動 {seconds} 秒"))
def _(world: World, new_folder: dict[str, str], seconds: str) -> None:
    world.note.surroundings = {**new_folder, "KUAIMEI_SERVER__START_TIMEOUT_S": seconds}


@when("第一次啟動系統")
def _(world: World) -> None:
    world.note.done = subprocess.run(
        SERVE, env=world.note.surroundings, capture_output=True, text=True, timeout=240, check=False
    )


@then("它以失敗結束，說出還在等哪些部分，以及怎麼給它更多時間")
def _(world: World) -> None:
    assert world.note.done.returncode == 1
    assert "not ready after 0.2 s, still waiting for" in world.note.done.stderr
    assert "KUAIMEI_SERVER__START_TIMEOUT_S" in world.note.done.stderr


@then("資料庫也停了")
def _(world: World) -> None:
    assert find_postmaster(_database(world)) is None


def _database(world: World) -> Path:
    return Path(world.note.surroundings["KUAIMEI_HOME"], "postgres", "data")


@when("載入到一半要系統停止")
def _(world: World) -> None:
    with subprocess.Popen(SERVE, env=world.note.surroundings, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line)
            if sum("ready: " in line for line in told) == 1 and "ready: " in line:  # the first of several
                assert find_postmaster(_database(world)) is not None
                process.send_signal(signal.SIGINT)
        world.note.status, world.note.told = process.wait(60), "".join(told)


@then("它正常結束，沒有說過準備好了")
def _(world: World) -> None:
    assert world.note.status == 0, world.note.told
    assert "Ready after" not in world.note.told


@when("合成引擎說過各種長度之後，再說 15 句長度不同的話")
def _(world: World) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.features.growing"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    world.note.grown_mb = float(done.stdout)


@then("多佔的記憶體在 60 MB 以內")
def _(world: World) -> None:
    """Without the bound it is several times as much: see ``tests/features/growing.py``."""
    assert world.note.grown_mb < 60.0
