"""Epic 3, first half: what was said is kept."""

import asyncio
import hashlib
import io
import os
import signal
import sys
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from pytest_bdd import given, parsers, scenarios, then, when
from sqlalchemy import func, select

from kuaimei.settings import RenderingSettings, Settings
from kuaimei.store import Store, StoredTranscript, UtteranceRow, open_store, tables
from tests.features.real_runtime import RealRuntime
from tests.features.world import World
from tests.integration.store.test_recovery import on_disk, reached, victim
from tests.integration.store.test_retention import Time, said
from tests.support.server.realtime_client import talking
from tests.support.store.deleting import WORDS, Life
from tests.support.store.killed_process import HEARD
from tests.support.store.searching import database_hits, file_hits
from tests.support.store.talking import FRAME, eventually, hear, recording, run_jobs, sound

scenarios("keeping.feature")


# Both sides, as they were.


@given(parsers.parse("小美對真正的系統說了「{words}」"))
def _(world: World, runtime: RealRuntime, words: str) -> None:
    world.note.turn, world.note.http = runtime.spoken(words), runtime.http


@then("那段對話裡有她的一句和回答的一句")
def _(world: World) -> None:
    path = f"/api/sessions/{world.note.turn.session}/utterances"

    def kept(body: Any) -> bool:
        return [one["speaker"] for one in body["data"] if one["audio"]] == ["user", "assistant"]

    world.note.said = world.note.http.until(path, kept)["data"]


@then("每一句都有錄音、逐字稿、時間與雜湊值")
def _(world: World) -> None:
    for one in world.note.said:
        assert one["state"] == "stored"
        assert one["transcript"]
        assert one["duration_ms"] > 300
        assert len(one["sha256"]) == 64


@then("下載的錄音與雜湊值相符")
def _(world: World) -> None:
    for one in world.note.said:
        data = world.note.http.get(one["audio"]).content
        assert data.startswith(b"fLaC")
        assert hashlib.sha256(data).hexdigest() == one["sha256"]


@then("那一輪的各階段時間也留著")
def _(world: World) -> None:
    turns = world.note.http.get(f"/api/sessions/{world.note.turn.session}/turns").json()["data"]
    assert turns[0]["timings"]["first_audio_ms"] > 0


@given("小美說過一句話，已經保存")
def _(world: World, settings: Settings) -> None:
    served, store = world.serve_keeping(settings)

    async def once() -> str:
        async with talking(served) as talk:
            await talk.ask()
            await talk.until("response.done")
            await talk.until("kuaimei.turn.timing")
        assert await store.flush()
        session: str = talk.events[0]["session"]["id"]
        return session

    note = world.note
    note.session, note.store, note.http = world.run(once()), store, world.http(served)
    note.said = note.http.get(f"/api/sessions/{note.session}/utterances").json()["data"]
    note.files = _recordings(settings.home)
    assert len(note.files) == 2


def _recordings(home: Path) -> list[Path]:
    return [path for path in (home / "recordings").rglob("*") if path.is_file()]


@when("她只要錄音的前 16 個位元組")
def _(world: World) -> None:
    world.note.answer = world.note.http.get(world.note.said[0]["audio"], headers={"Range": "bytes=0-15"})


@then("她得到那 16 個位元組，以及全長")
def _(world: World) -> None:
    answer: httpx.Response = world.note.answer
    whole = world.note.http.get(world.note.said[0]["audio"]).content
    assert (answer.status_code, answer.content) == (206, whole[:16])
    assert answer.headers["content-range"] == f"bytes 0-15/{len(whole)}"


# Killed.


async def _speaking(settings: Settings) -> int:
    """Somebody speaks to a process that is killed meanwhile; how many samples had arrived."""
    async with victim(settings, "converse") as process:
        arrived = int(await reached(process, "speaking", 60 * FRAME))
        await eventually(lambda: on_disk(settings.home, 2 * arrived))
        process.send_signal(signal.SIGKILL)
    return arrived


@given("小美正在說話")
def _(world: World, settings: Settings) -> None:
    world.note.settings = settings


@when("程序被強制結束")
def _(world: World) -> None:
    world.note.arrived = world.run(_speaking(world.note.settings))


@when("系統重新啟動")
def _(world: World) -> None:
    world.note.store = world.enter(open_store(world.note.settings))


@then("已經到達的每一秒都聽得到，一個取樣都不差")
def _(world: World) -> None:
    async def found() -> tuple[UtteranceRow, Any]:
        (session,) = await world.note.store.sessions()
        (kept,) = await world.note.store.utterances(session.id)
        pcm, _ = await recording(world.note.store, kept.id)
        return kept, pcm

    world.note.kept, pcm = world.run(found())
    assert len(pcm) >= world.note.arrived
    np.testing.assert_array_equal(pcm, HEARD[: len(pcm)])


@then("那句話列在對話裡，標明是救回來的")
def _(world: World) -> None:
    assert (world.note.kept.speaker, world.note.kept.state) == ("user", "recovered")


async def _transcribed(store: Store) -> list[str | None]:
    async def transcribe(utterance: UtteranceRow, pieces: AsyncIterator[Any]) -> StoredTranscript:
        async for _ in pieces:
            pass
        return StoredTranscript("補上的字", "zh")

    await run_jobs(store, transcribe)
    (session,) = await store.sessions()
    return [one.transcript for one in await store.utterances(session.id)]


@then("漏掉的逐字稿補上了")
def _(world: World) -> None:
    assert world.run(_transcribed(world.note.store)) == ["補上的字"]


@given("有一句話還沒有逐字稿")
def _(world: World, settings: Settings) -> None:
    async def said() -> None:
        async with open_store(settings) as store:
            recorder = store.recorder("sess_a")
            hear(recorder, 1, sound(20_000))
            await recorder.close()

    world.run(said())
    world.note.settings = settings


@given("補逐字稿的程序做到一半被強制結束")
def _(world: World) -> None:
    async def killed() -> None:
        async with victim(world.note.settings, "work") as process:
            await reached(process, "working")
            process.send_signal(signal.SIGKILL)

    world.run(killed())


# Gone.


@when("她刪除那段對話")
def _(world: World) -> None:
    assert world.note.http("DELETE", f"/api/sessions/{world.note.session}").status_code == 204


@then("清單裡沒有它")
def _(world: World) -> None:
    assert world.note.http.get("/api/sessions").json()["data"] == []


@then("它的錄音要不到了")
def _(world: World) -> None:
    for one in world.note.said:
        assert world.note.http.get(one["audio"]).status_code == 404


@then("磁碟上沒有它的任何錄音")
def _(world: World, settings: Settings) -> None:
    assert _recordings(settings.home) == []
    spooled = [path for path in (settings.home / "spool").glob("run_*/*") if path.name != "lock"]
    assert spooled == []


@then("資料庫裡沒有它的任何一列")
def _(world: World) -> None:
    async def rows() -> dict[str, int]:
        async with world.note.store._database.begin() as connection:
            return {
                table.name: await connection.scalar(select(func.count()).select_from(table)) or 0
                for table in tables.metadata.sorted_tables
                if table.name not in {"alembic_version", "people"}
            }

    assert {name: count for name, count in world.run(rows()).items() if count} == {}


@given("有一段存著錄音、分析與評分的對話")
def _(world: World, settings: Settings) -> None:
    world.note.settings = settings.model_copy(update={"rendering": RenderingSettings()})  # with both tiers


ROOT = Path(__file__).parents[2]
IN_THE_MIDDLE = "11"
"""One of the more than twenty moments at which a deletion waits for the database or the disk."""


@given("刪除它的程序做到一半被強制結束")
def _(world: World) -> None:
    settings: Settings = world.note.settings

    async def killed() -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.store.deleting"),
            *(str(settings.home), settings.store.database_url, "session", IN_THE_MIDDLE),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
            cwd=ROOT,
        )
        told, _ = await process.communicate()
        world.note.life = Life(*told.decode().splitlines()[0].split())
        assert process.returncode == -signal.SIGKILL, told

    world.run(killed())
    # It was asked for, and it is not done.
    assert "deletions" in database_hits(settings.store.database_url, world.note.life.session)
    assert file_hits(settings.home, world.note.life.session)


@then("資料夾和資料庫裡都找不到那段對話")
def _(world: World) -> None:
    settings: Settings = world.note.settings
    life: Life = world.note.life
    said_of_it = (life.session, life.user, life.reply, *WORDS[:4])
    assert file_hits(settings.home, *said_of_it) == []
    assert database_hits(settings.store.database_url, *said_of_it) == []


# Kept for so long, and where there is room.


async def _expired(world: World) -> int:
    """As the store does it by itself every hour; how many went."""
    store: Store = world.note.store
    gone: int = await store.maintenance.expire()
    return gone


@given("保存 30 天的系統裡，有一段不再說話的對話，和一段每 20 天說一次的")
def _(world: World, settings: Settings) -> None:
    kept = settings.store.model_copy(update={"retention_days": 30.0})
    settings = world.note.settings = settings.model_copy(update={"store": kept})
    store: Store = world.enter(open_store(settings))
    time = Time()
    store.maintenance.retention = time.retention(store)
    world.note.store, world.note.time = store, time
    world.run(said(store, time, "sess_silent", "sess_going_on"))


@when("又過了 31 天")
def _(world: World) -> None:
    async def lived() -> None:
        time: Time = world.note.time
        for day in range(31):
            time.passes(1)
            if day == 20:
                assert await _expired(world) == 0
                await said(world.note.store, time, "sess_going_on")
            await world.note.store.maintenance.retention.now()
        world.note.gone = await _expired(world)

    world.run(lived())


@then("不再說話的那段不見了，資料夾和資料庫裡都找不到")
def _(world: World) -> None:
    settings: Settings = world.note.settings
    assert world.note.gone == 1
    assert file_hits(settings.home, "sess_silent") == []
    assert database_hits(settings.store.database_url, "sess_silent") == []


async def _ids(store: Store) -> set[str]:
    return {session.id for session in await store.sessions()}


@then("還在說的那段留著")
def _(world: World) -> None:
    assert world.run(_ids(world.note.store)) == {"sess_going_on"}


@when("時鐘忽然跳到 2099 年，過了 23 小時")
def _(world: World) -> None:
    async def jumped() -> None:
        time: Time = world.note.time
        await _expired(world)
        time.wall = datetime(2099, 1, 1, tzinfo=UTC)
        for _ in range(23):
            time.running_s += 3600.0
            assert await _expired(world) == 0

    world.run(jumped())


@then("兩段對話都還在")
def _(world: World) -> None:
    assert world.run(_ids(world.note.store)) == {"sess_silent", "sess_going_on"}


@given("磁碟只剩 100 MB")
def _(world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    left = SimpleNamespace(free=100 * 2**20)
    monkeypatch.setattr("kuaimei.store.disk_space.shutil.disk_usage", lambda path: left)
    world.note.served, world.note.store = world.serve_keeping(settings)
    world.note.store.space.look()


@then("那段對話裡有兩句文字，都沒有錄音")
def _(world: World, settings: Settings) -> None:
    async def listed() -> list[tuple[str | None, bool]]:
        store: Store = world.note.store
        assert await store.flush()
        (session,) = await store.sessions()
        return [(one.transcript, one.sha256 is None) for one in await store.utterances(session.id)]

    heard, answered = world.run(listed())
    assert heard == ("你好嗎", True)
    assert answered[0]
    assert answered[1]
    assert _recordings(settings.home) == []


@then("監控系統看得到磁碟滿了，但系統還能用")
def _(world: World) -> None:
    answer = world.http(world.note.served).get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["disk"]) == (200, "full")


@given("系統設定為什麼都不保存")
def _(world: World) -> None:
    world.note.served = world.serve()


@when("小美說一句話並聽到回答")
def _(world: World) -> None:
    talk = world.talk(world.note.served)
    world.run(talk.ask())
    world.run(talk.until("response.done"))


@then("她被告知這裡不保存對話")
def _(world: World) -> None:
    answer = world.http(world.note.served).get("/api/sessions")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_kept")


# Taken along.


@when("她匯出那段對話")
def _(world: World) -> None:
    world.note.answer = world.note.http.get(f"/api/sessions/{world.note.session}/export")


@then("壓縮檔裡有逐字稿、分析與每一句的錄音")
def _(world: World) -> None:
    with zipfile.ZipFile(io.BytesIO(world.note.answer.content)) as file:
        assert file.testzip() is None
        names = [name.partition("/")[2] for name in file.namelist()]
        text = file.read(f"{world.note.session}/transcript.txt").decode()
        sounds = [file.read(name) for name in file.namelist() if name.endswith(".flac")]
    assert {"transcript.txt", "analysis.csv", "session.json"} <= set(names)
    assert "你好嗎" in text
    assert {hashlib.sha256(data).hexdigest() for data in sounds} == {u["sha256"] for u in world.note.said}


@when("她匯出一段不存在的對話")
def _(world: World) -> None:
    world.note.answer = world.note.http.get("/api/sessions/sess_nowhere/export")


@then("她被告知找不到")
def _(world: World) -> None:
    assert (world.note.answer.status_code, world.note.answer.json()["error"]["code"]) == (404, "not_found")
