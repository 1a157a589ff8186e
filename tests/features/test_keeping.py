"""Epic 3, first half: what was said is kept."""

import hashlib
import io
import signal
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from pytest_bdd import given, parsers, scenarios, then, when
from sqlalchemy import func, select

from kuaimei.settings import Settings
from kuaimei.store import Store, Transcript, Utterance, open_store, tables
from tests.features.real_house import RealHouse
from tests.features.world import World
from tests.integration.server.talking import talking
from tests.integration.store.talking import FRAME, eventually, hear, recording, run_jobs, sound
from tests.integration.store.test_recovery import on_disk, reached, victim
from tests.integration.store.victim import HEARD

scenarios("keeping.feature")


# Both sides, as they were.


@given(parsers.parse("小美對真正的系統說了「{words}」"))
def _(world: World, house: RealHouse, words: str) -> None:
    world.note.turn, world.note.http = house.spoken(words), house.http


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
        assert await store.settle()
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
    async def found() -> tuple[Utterance, Any]:
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
    async def transcribe(utterance: Utterance, pieces: AsyncIterator[Any]) -> Transcript:
        async for _ in pieces:
            pass
        return Transcript("補上的字", "zh")

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
