"""Epic 7, second half: who may come in, and everybody's own things."""

import asyncio
import io
import json
import re
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_bdd import given, parsers, scenarios, then, when
from sqlalchemy import text
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from kuaimei.people.keys import digest, is_key
from kuaimei.server.rest import me as rest
from kuaimei.settings import RenderingSettings, ServerSettings, Settings, StoreSettings
from tests.features.world import Http, World
from tests.integration.people.conftest import own_temporary_folder
from tests.integration.people.test_me import dumped, everywhere
from tests.support.people.commands import run_command
from tests.support.people.two_people import SECRET, Somebody, Two, two
from tests.support.server.realtime_client import Talk
from tests.support.server.whole_server import Whole, whole
from tests.support.store.searching import database_hits

__all__ = ["own_temporary_folder"]

scenarios("people.feature")

BENS = "Ben 自己的一句完全不同的話"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a deletion takes its time."""
    monkeypatch.setattr(rest, "_PATIENCE_S", 100.0)


@pytest.fixture
def closed(settings: Settings) -> Settings:
    """The same, and nobody is let in without a key."""
    return settings.model_copy(update={"server": ServerSettings(port=0)})


def _people(world: World, settings: Settings, **more: Any) -> Two:
    """Both of them with a key each, at a server with everything of theirs kept for real."""
    both = world.enter(two(settings, **more))
    world.note.both, world.note.settings = both, settings
    world.note.anna, world.note.ben = Http(world, both.anna.http), Http(world, both.ben.http)
    return both


@given("陳怡君和 Ben 各有一把金鑰，陳怡君說過話")
def _(world: World, closed: Settings) -> None:
    both = _people(world, closed)
    world.run(both.own(both.anna))


@given("陳怡君說過話，Ben 是維運者")
def _(world: World, closed: Settings) -> None:
    both = _people(world, closed, roles=("member", "operator"))
    world.run(both.own(both.anna))


@given("陳怡君和 Ben 各有一把金鑰，對話保存 90 天")
def _(world: World, closed: Settings) -> None:
    kept = closed.store.model_copy(update={"retention_days": 90.0})
    _people(world, closed.model_copy(update={"store": kept}))


def _command(world: World, *arguments: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
    """``kuaimei`` as whoever runs the server calls it, while that runs."""
    return run_command(world.note.settings, *arguments, status=status)


# What is somebody else's.

WAYS: dict[str, tuple[str, str]] = {
    "讀": ("GET", ""),
    "匯出": ("GET", "/export"),
    "分析": ("GET", "/analysis"),
    "改名": ("PATCH", ""),
    "刪除": ("DELETE", ""),
}


@when(parsers.re(r"Ben (?P<what>讀|匯出|分析|改名|刪除)那段對話"))
def _(world: World, what: str) -> None:
    method, rest_of_path = WAYS[what]
    more: dict[str, Any] = {"json": {"title": "我的"}} if method == "PATCH" else {}
    theirs, nowhere = world.note.both.anna.ids["session"], f"sess_{'0' * 26}"
    world.note.asked = theirs, nowhere
    world.note.answers = [
        world.note.ben(method, f"/api/sessions/{session}{rest_of_path}", **more)
        for session in (theirs, nowhere)
    ]


@then("得到的回答和不存在一樣")
def _(world: World) -> None:
    told = [answer.json()["error"] for answer in world.note.answers]
    assert [answer.status_code for answer in world.note.answers] == [404, 404]
    assert told[0]["code"] == told[1]["code"] == "not_found"
    theirs, nowhere = world.note.asked
    assert told[0]["message"].replace(theirs, nowhere) == told[1]["message"]
    assert world.note.anna.get(f"/api/sessions/{theirs}").status_code == 200


@then("Ben 的清單、搜尋和聲音裡都沒有她的東西")
def _(world: World) -> None:
    ids = world.note.both.anna.ids
    for path in ("/api/sessions", f"/api/sessions?search={SECRET[:4]}", "/api/voices", "/api/labelling/next"):
        found = world.note.ben.get(path).text
        for secret in (SECRET, *ids.values(), world.note.both.anna.person.id):
            assert secret not in found, path
    searched = world.note.anna.get("/api/sessions", params={"search": SECRET[:4]}).json()["data"]
    assert [one["id"] for one in searched] == [ids["session"]]  # it could have been found


@then("Ben 接不走那段對話")
def _(world: World) -> None:
    both: Two = world.note.both

    async def refused() -> str:
        url = f"{both.served.socket_url}?session={both.anna.ids['session']}&takeover=true"
        async with connect(url, additional_headers=both.ben.shown) as socket:
            code: str = json.loads(await socket.recv())["error"]["code"]
            return code

    assert world.run(refused()) == "session_not_found"


@then("Ben 讀得到指標和連線數")
def _(world: World) -> None:
    metrics = world.note.ben.get("/metrics")
    assert metrics.status_code == 200
    assert "kuaimei_store_sessions 1.0" in metrics.text
    assert SECRET not in metrics.text
    assert world.note.ben.get("/api/status").json()["sessions"] is not None


@then("陳怡君讀不到指標，也看不到連線數")
def _(world: World) -> None:
    refused = world.note.anna.get("/metrics")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
    assert world.note.anna.get("/api/status").json()["sessions"] is None


# Keys.


@when("維運者用指令加入「小玲」")
def _(world: World) -> None:
    world.note.added = _command(world, "people", "add", "小玲")


@then("印出一把金鑰和帶著它的網址")
def _(world: World) -> None:
    (key,) = world.note.added.stdout.splitlines()
    assert is_key(key)
    assert re.search(rf"https?://\S+/#key={key}", world.note.added.stderr)
    world.note.key = key


@then("再列出金鑰時看不到它，資料庫裡也沒有")
def _(world: World) -> None:
    key = world.note.key
    assert key not in _command(world, "people", "keys", "小玲").stdout
    url = world.note.settings.store.database_url
    assert database_hits(url, key, key.removeprefix("km_")) == []
    assert database_hits(url, digest(key)) == ["keys"]  # by which it is known again


@then("小玲用那把金鑰進得來，而且什麼都還沒有")
def _(world: World) -> None:
    shown = {"Authorization": f"Bearer {world.note.key}"}
    served = world.note.both.served
    http = world.http(served, headers=shown)
    told = http.until("/api/me", lambda body: body["name"] == "小玲")
    assert (told["role"], told["via"]) == ("member", "key")
    assert http.get("/api/sessions").json()["data"] == []
    assert not [one for one in http.get("/api/voices").json()["data"] if one.get("mine")]
    assert SECRET not in http.get("/api/voices").text


@given("陳怡君和 Ben 都在對話中")
def _(world: World) -> None:
    both: Two = world.note.both
    world.note.talks = {
        name: world.talk(both.served, additional_headers=who.shown)
        for name, who in (("陳怡君", both.anna), ("Ben", both.ben))
    }


@when("維運者用指令收回陳怡君的金鑰")
def _(world: World) -> None:
    _command(world, "people", "revoke", world.note.both.anna.key_id)


async def _to_the_end(talk: Talk) -> None:
    while True:
        await talk.next()


@then("陳怡君被告知金鑰已收回，連線關閉")
def _(world: World) -> None:
    talk: Talk = world.note.talks["陳怡君"]

    async def told() -> tuple[str, int, str]:
        code = (await talk.error())["code"]
        with pytest.raises(ConnectionClosed) as ended:
            await _to_the_end(talk)
        assert ended.value.rcvd is not None
        return code, ended.value.rcvd.code, ended.value.rcvd.reason

    assert world.run(told()) == ("key_revoked", 1008, "key_revoked")


@then("那把金鑰再也進不來")
def _(world: World) -> None:
    answer = world.note.anna.get("/api/me")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


@then("Ben 照常對話")
def _(world: World) -> None:
    talk: Talk = world.note.talks["Ben"]
    world.run(talk.ask())
    assert world.run(talk.until("response.done"))["response"]["status"] == "completed"


@when("有人連猜了 3 把金鑰")
def _(world: World) -> None:
    stranger = world.http(world.note.both.served)
    world.note.answers = [
        stranger.get("/api/sessions", headers={"Authorization": f"Bearer guess-number-{n}"}) for n in range(3)
    ]


@then("每一次都被拒絕")
def _(world: World) -> None:
    assert [answer.status_code for answer in world.note.answers] == [401] * 3


@then("指標裡有 3 次錯的金鑰")
def _(world: World) -> None:
    assert 'kuaimei_refused_total{reason="wrong_key"} 3.0' in world.note.ben.get("/metrics").text


# Voices that are shared.


@given("陳怡君有一個聲音，並分享給大家")
def _(world: World, closed: Settings) -> None:
    both = _people(world, closed)
    world.run(both.own(both.anna))
    voice = world.note.voice = both.anna.ids["voice"]
    shared = world.note.anna("PATCH", f"/api/voices/{voice}", json={"shared": True})
    assert (shared.json()["shared"], shared.json()["mine"]) == (True, True)
    world.note.before = world.note.anna.get(f"/api/voices/{voice}").json()


def _spoken(http: Http, voice: str, words: str) -> Any:
    return http.post("/v1/audio/speech", json={"input": words, "voice": voice, "response_format": "pcm"})


@when(parsers.parse("Ben 請那個聲音說「{words}」"))
def _(world: World, words: str) -> None:
    world.note.answer = _spoken(world.note.ben, world.note.voice, words)


@then("他聽到一段聲音")
def _(world: World) -> None:
    assert world.note.answer.status_code == 200
    assert len(world.note.answer.content) > 1000
    assert world.note.both.living.bank.requests[-1].voice_id == world.note.voice


@then("他看不到同意的人、逐字稿與檢查的結果")
def _(world: World) -> None:
    seen = world.note.ben.get(f"/api/voices/{world.note.voice}").json()
    assert (seen["shared"], seen["mine"]) == (True, False)
    assert [seen[name] for name in ("consent", "transcript", "reference")] == [None] * 3
    assert not seen["checks"]
    own = world.note.before
    assert own["consent"]
    assert own["checks"]  # there is something to be hidden


DEEDS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "改名": ("PATCH", "", {"name": "我的"}),
    "停止分享": ("PATCH", "", {"shared": False}),
    "再學": ("POST", "/learn", {}),
    "聽參考錄音": ("GET", "/reference", None),
    "刪除": ("DELETE", "", None),
}


@when(parsers.parse("Ben 想對那個聲音{what}"))
def _(world: World, what: str) -> None:
    method, rest_of_path, body = DEEDS[what]
    world.note.answer = world.note.ben(method, f"/api/voices/{world.note.voice}{rest_of_path}", json=body)


@then("他被告知這不是他的")
def _(world: World) -> None:
    answer = world.note.answer
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")


@then("那個聲音和先前一樣")
def _(world: World) -> None:
    assert world.note.anna.get(f"/api/voices/{world.note.voice}").json() == world.note.before


@when("陳怡君不再分享")
def _(world: World) -> None:
    assert _spoken(world.note.ben, world.note.voice, "你好").status_code == 200
    world.note.anna("PATCH", f"/api/voices/{world.note.voice}", json={"shared": False})


@then("Ben 請不動那個聲音，清單裡也沒有")
def _(world: World) -> None:
    assert _spoken(world.note.ben, world.note.voice, "你好").status_code == 400
    assert world.note.ben.get(f"/api/voices/{world.note.voice}").status_code == 404
    assert world.note.voice not in world.note.ben.get("/api/voices").text


# A company's own sign-in.

SIGNED_IN = "X-Forwarded-User"


def _as(world: World, path: str, *names: str) -> httpx.Response:
    headers = [(SIGNED_IN.encode(), name.encode()) for name in names]
    answer: httpx.Response = world.note.http.get(path, headers=headers)
    return answer


@given(parsers.parse("系統相信公司登入伺服器（{proxy}）的標頭"))
def _(world: World, closed: Settings, proxy: str) -> None:
    server = ServerSettings(port=0, identity_header=SIGNED_IN, trusted_proxies=(proxy,))
    _people(world, closed.model_copy(update={"server": server}))
    world.note.http = world.http(world.note.both.served)


@when("登入伺服器說來的是「王小明」")
def _(world: World) -> None:
    world.note.answer = _as(world, "/api/me", "王小明")


@then("他進得來，不必金鑰，是一般使用者")
def _(world: World) -> None:
    told = world.note.answer.json()
    assert (told["name"], told["role"], told["via"]) == ("王小明", "member", "proxy")


@then("登入伺服器說來的是別人時，看不到他的對話")
def _(world: World) -> None:
    path = f"/api/sessions/{world.run(_session(world, '王小明'))}"
    assert _as(world, path, "王小明").status_code == 200
    assert _as(world, path, "claire").status_code == 404


async def _session(world: World, name: str) -> str:
    both: Two = world.note.both
    return await both.store.create_session(owner=(await both.store.people.named(name)).id)


@when(parsers.parse("來自本機的標頭說來的是「{names}」"))
def _(world: World, names: str) -> None:
    world.note.answer = _as(world, "/api/me", *names.split("、"))


@then("他進不來")
def _(world: World) -> None:
    assert world.note.answer.status_code in (401, 403)
    assert "name" not in world.note.answer.json()
    assert len(world.run(world.note.both.store.people.all())) == 3  # whoever runs it, and the two with keys


# The notice.


@when("陳怡君第一次來")
def _(world: World) -> None:
    world.note.told = world.note.anna.get("/api/me").json()


@then("她得知會保存、保存 90 天，而且還沒同意")
def _(world: World) -> None:
    keeping = world.note.told["keeping"]
    assert (keeping["keep"], keeping["retention_days"]) == (True, 90.0)
    assert world.note.told["notice"]["accepted"] is False


@when("她同意")
def _(world: World) -> None:
    version = world.note.told["notice"]["version"]
    assert world.note.anna.post("/api/me/notice", json={"version": version}).status_code == 200


@then("之後不再問她，同意的時間留著")
def _(world: World) -> None:
    assert world.note.anna.get("/api/me").json()["notice"]["accepted"] is True
    both: Two = world.note.both

    async def agreed() -> datetime:
        async with both.store._database.begin() as connection:
            query = text("select notice_accepted_at from people where id = :id")
            found: datetime = await connection.scalar(query, {"id": both.anna.person.id})
            return found

    assert world.run(agreed()).astimezone(UTC).year >= 2026


@then("Ben 自己還是會被問")
def _(world: World) -> None:
    assert world.note.ben.get("/api/me").json()["notice"]["accepted"] is False


@when("陳怡君同意一份不是現在這份的告知")
def _(world: World) -> None:
    world.note.answer = world.note.anna.post("/api/me/notice", json={"version": "0"})


@then("這次不算，她還是沒同意")
def _(world: World) -> None:
    answer = world.note.answer
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "notice_outdated")
    assert world.note.anna.get("/api/me").json()["notice"]["accepted"] is False


# Taken along, and deleted.


@when("陳怡君匯出她的全部")
def _(world: World) -> None:
    both: Two = world.note.both
    world.run(both.own(both.ben, BENS))
    world.note.answer = world.note.anna.get("/api/me/export")


@then("壓縮檔裡有她的對話、錄音、聲音與同意")
def _(world: World) -> None:
    ids = world.note.both.anna.ids
    assert world.note.answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(world.note.answer.content)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    session, voice = f"sessions/{ids['session']}/", f"voices/{ids['voice']}/"
    assert SECRET in files[f"{session}transcript.txt"].decode()
    assert [name for name in files if name.startswith(session) and name.endswith(".flac")]
    assert f"{voice}reference.flac" in files
    told = "".join(data.decode(errors="replace") for name, data in files.items() if name.startswith(voice))
    assert "consent" in told
    world.note.files = files


@then("壓縮檔裡沒有 Ben 的任何東西")
def _(world: World) -> None:
    ben: Somebody = world.note.both.ben
    for name, data in world.note.files.items():
        found = f"{name} {data.decode(errors='replace')}"
        assert not [word for word in (BENS, ben.person.id, *ben.ids.values()) if word in found], name


@when("陳怡君打上自己的名字，刪除她的全部")
def _(world: World) -> None:
    world.note.answer = world.note.anna.post("/api/me/forget", json={"confirm": "陳怡君"})


@then("她被告知刪了一段對話和一個聲音，什麼都沒有留下")
def _(world: World) -> None:
    assert world.note.answer.status_code == 200
    told = world.note.answer.json()
    assert (told["sessions"], told["voices"], told["left"]) == (1, 1, [])


@then("資料庫和資料夾裡都找不到她說過的話")
def _(world: World) -> None:
    words = SECRET, *world.note.both.anna.ids.values()
    after = world.run(dumped(world.note.both))
    assert [word for word in words if word in after] == []
    assert everywhere(world.note.settings.home, *words) == []


@then("她的金鑰還能用")
def _(world: World) -> None:
    assert world.note.anna.get("/api/me").json()["name"] == "陳怡君"
    assert world.note.anna.get("/api/sessions").json()["data"] == []


@when("維運者用指令刪除陳怡君")
def _(world: World) -> None:
    status = 1 if "copied" in vars(world.note) else 0
    world.note.done = _command(world, "people", "forget", "陳怡君", "--yes", "--json", status=status)


@then("指令說出找過哪些地方，什麼都沒找到")
def _(world: World) -> None:
    told = json.loads(world.note.done.stdout)
    places = {place["place"] for place in told["searched"]}
    assert {"database: utterances.transcript", "files: spool", "files: temporary folder"} <= places
    assert [place for place in places if place.startswith("recordings: ")]
    assert (told["sessions"], told["voices"], told["left"]) == (1, 1, [])


@given("有人把她說過的話抄在資料夾裡")
def _(world: World) -> None:
    notes: Path = world.note.settings.home / "notes"
    notes.mkdir()
    (notes / "mine.txt").write_text(f"she said: {SECRET}!")
    world.note.copied = True


@then("指令以失敗結束，說出還有一處")
def _(world: World) -> None:
    assert json.loads(world.note.done.stdout)["left"] == [{"place": "files: notes", "found": 1}]


@when("陳怡君打錯名字")
def _(world: World) -> None:
    world.note.answer = world.note.anna.post("/api/me/forget", json={"confirm": "Ben"})


@then("她的對話還在")
def _(world: World) -> None:
    answer = world.note.answer
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_confirmed")
    session = world.note.both.anna.ids["session"]
    assert world.note.anna.get(f"/api/sessions/{session}").status_code == 200


@given("陳怡君說過話，要求刪除全部之後系統就停了")
def _(world: World, closed: Settings) -> None:
    world.note.settings = closed

    async def until_it_stopped() -> dict[str, str]:
        async with two(closed) as both:
            await both.own(both.anna)
            await both.store.people.begin_forgetting(both.anna.person.id, "things")
            return both.anna.ids

    world.note.ids = world.run(until_it_stopped())
    assert database_hits(closed.store.database_url, SECRET)


@when("同一個資料夾的系統再次啟動")
def _(world: World) -> None:
    settings: Settings = world.note.settings
    store = StoreSettings(database_url=settings.store.database_url)
    rendering = RenderingSettings(hq="none")
    world.note.whole = world.enter(
        whole(settings.model_copy(update={"store": store, "rendering": rendering}))
    )


@then("刪除做完了，資料庫和資料夾裡都找不到她說過的話")
def _(world: World) -> None:
    served: Whole = world.note.whole

    async def done() -> None:
        async with asyncio.timeout(60):
            while any(person.forgetting for person in await served.store.people.all()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    world.run(done())
    settings: Settings = world.note.settings
    words = SECRET, *world.note.ids.values()
    assert everywhere(settings.home, *words) == []
    # Of a deleted voice the id stays, so that what is said in it meanwhile loses its sound.
    kept = ("erased_voices", "deletions")
    assert database_hits(settings.store.database_url, *words, leave_out=kept) == []
