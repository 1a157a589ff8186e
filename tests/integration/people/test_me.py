"""Who is asking; and everything of theirs taken along, or deleted so that nothing of it is found anywhere."""

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.errors import StoreError
from kuaimei.people.erasure import forget, forget_marked
from kuaimei.server.rest import me as rest
from kuaimei.settings import Settings
from tests.support.people.two_people import SECRET, Two, two
from tests.support.server.app_server import InMemoryRuntime, eventually, make_settings, serving
from tests.support.server.realtime_client import talking

OTHER = "班的另外一個完全不同的句子"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a deletion takes its time."""
    monkeypatch.setattr(rest, "_PATIENCE_S", 600.0)


async def test_who_is_asking(settings: Settings) -> None:
    async with two(settings, roles=("member", "operator")) as both:
        told = (await both.anna.http.get("/api/me")).json()
        assert told == {
            "object": "kuaimei.me",
            "id": both.anna.person.id,
            "name": "陳怡君",
            "role": "member",
            "via": "key",
            "keeping": {"keep": True, "retention_days": 0.0, "voice_retention_days": 0.0},
            "notice": {"version": "1", "accepted": False},
        }
        ben = await both.ben.http.get("/api/me")
        assert (ben.json()["name"], ben.json()["role"]) == ("ben", "operator")
        assert ben.headers["cache-control"] == "no-store"


async def test_the_notice_is_agreed_to_by_each(settings: Settings) -> None:
    async with two(settings) as both:
        old = await both.anna.http.post("/api/me/notice", json={"version": "0"})
        assert (old.status_code, old.json()["error"]["code"]) == (409, "notice_outdated")
        for wrong in ({}, {"version": 1}, {"version": "1", "more": 1}, {"version": "\x00"}):
            assert (await both.anna.http.post("/api/me/notice", json=wrong)).status_code == 400
        agreed = await both.anna.http.post("/api/me/notice", json={"version": "1"})
        assert agreed.json() == (await both.anna.http.get("/api/me")).json()
        assert agreed.json()["notice"]["accepted"]
        assert not (await both.ben.http.get("/api/me")).json()["notice"]["accepted"]


async def test_where_no_key_is_asked_for_the_local_one_agrees(settings: Settings) -> None:
    opened = settings.model_copy(update={"server": make_settings().server})
    async with two(opened) as both, httpx.AsyncClient(base_url=both.served.url) as client:
        told = (await client.get("/api/me")).json()
        assert (told["id"], told["role"], told["via"]) == ("local", "operator", "open")
        assert not told["notice"]["accepted"]
        await client.post("/api/me/notice", json={"version": "1"})
        assert (await both.store.people.get("local")).notice_version == "1"


async def test_where_nothing_is_kept_there_is_nothing_to_agree_to() -> None:
    async with serving() as served, httpx.AsyncClient(base_url=served.url) as client:
        told = (await client.get("/api/me")).json()
        assert not told["keeping"]["keep"]
        assert told["notice"]["accepted"]
        assert (await client.post("/api/me/notice", json={"version": "1"})).json() == told
        assert (await client.get("/api/me/export")).status_code == 404
        assert (await client.post("/api/me/forget", json={"confirm": "local"})).status_code == 404


async def test_signing_out_has_the_browser_forget() -> None:
    async with serving(InMemoryRuntime()) as served, httpx.AsyncClient(base_url=served.url) as client:
        answer = await client.post("/api/me/sign-out")
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["clear-site-data"] == '"cache", "cookies", "storage"'


async def test_everything_is_taken_along(settings: Settings) -> None:
    async with two(settings) as both:
        await both.own(both.anna)
        await both.own(both.ben, OTHER)
        await both.anna.http.post(f"/api/labelling/{both.anna.ids['utterance']}", json={"confidence": 4})
        answer = await both.anna.http.get("/api/me/export")
        assert answer.headers["content-type"] == "application/zip"
        assert answer.headers["cache-control"] == "no-store"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
            assert file.testzip() is None
            names, ids = file.namelist(), both.anna.ids
            said = f"sessions/{ids['session']}"
            about = json.loads(file.read("person.json"))
            assert (about["person"]["name"], len(about["keys"])) == ("陳怡君", 1)
            assert "sha256" not in json.dumps(about)
            assert SECRET in file.read(f"{said}/transcript.txt").decode()
            assert [u["transcript"] for u in json.loads(file.read(f"{said}/session.json"))["utterances"]] == [
                SECRET,
                f"好的，{SECRET}。",
                SECRET,
            ]
            sounds = [name for name in names if name.startswith(said) and name.endswith(".flac")]
            assert [soundfile.info(io.BytesIO(file.read(name))).frames for name in sounds] == [16_000, 24_000]
            voice = json.loads(file.read(f"voices/{ids['voice']}/voice.json"))
            assert voice["consent"]["speaker"] == SECRET
            assert file.read(f"voices/{ids['voice']}/reference.flac")[:4] == b"fLaC"
            assert json.loads(file.read("ratings.json"))[0]["marks"]["confidence"] == 4
            assert json.loads(file.read("preferences.json"))[0]["remark"] == SECRET
            whole = b"".join(file.read(name) for name in names)
        assert OTHER.encode() not in whole
        assert not any(id_.encode() in whole for id_ in both.ben.ids.values())


async def test_a_large_export_comes_in_pieces(settings: Settings) -> None:
    async with two(settings) as both:
        for _ in range(205):  # more than two pages
            await both.store.create_session(owner=both.anna.person.id)
        async with both.anna.http.stream("GET", "/api/me/export") as answer:
            pieces = [piece async for piece in answer.aiter_raw()]
        assert len(pieces) > 100
        with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as file:
            assert sum(name.endswith("/session.json") for name in file.namelist()) == 205


def everywhere(home: Path, *sentinels: str) -> list[str]:
    """Files below ``home``, but the voices' worker that the test brought, that hold or are named so."""
    found = []
    for path in home.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        if any(word in str(path) or word.encode() in data for word in sentinels):
            found.append(str(path))
    return found


_IDS = {"erased_voices", "deletions"}
"""Tables that hold ids of what was deleted, on purpose."""
_SAMPLES = "select * from pg_stats where tablename not in ('erased_voices', 'deletions')"


async def dumped(both: Two) -> str:
    """Every row of every table, as text; but the ids of what was deleted, which are kept on purpose."""
    async with both.store._database.begin() as connection:
        tables = await connection.exec_driver_sql(
            "select table_name from information_schema.tables where table_schema = 'public'"
        )
        names = [row[0] for row in tables if row[0] not in _IDS]
        deletions = await connection.exec_driver_sql("select kind, subject, owner, parts from deletions")
        assert all(_is_ids(row) for row in deletions)
        rows = []
        for name in names:
            rows += [str(row) for row in await connection.exec_driver_sql(f'select * from "{name}"')]
        rows += [str(row) for row in await connection.exec_driver_sql(_SAMPLES)]
    return "\n".join(rows)


def _is_ids(row: Any) -> bool:
    """Ids of sessions, utterances, voices and people, and nothing else."""
    named = [row.subject, row.owner, row.parts.get("session") or "sess_", *row.parts.get("utterances", [])]
    known = ("sess_", "utt_", "voice_", "person_", "local")
    return row.parts.keys() <= {"session", "utterances"} and all(name.startswith(known) for name in named)


async def test_everything_is_deleted_and_nothing_of_it_found(settings: Settings) -> None:
    async with two(settings) as both:
        await both.own(both.anna)
        await both.own(both.ben, OTHER)
        await both.anna.http.get(f"/api/voices/{both.anna.ids['voice']}/sample")
        await both.anna.http.post("/api/me/notice", json={"version": "1"})
        async with both.store._database.begin() as connection:
            await connection.exec_driver_sql("analyze")  # PostgreSQL takes samples of what is in its tables
        ids = [*both.anna.ids.values()]
        before = await dumped(both)
        assert all(word in before for word in (SECRET, OTHER, *ids))
        assert everywhere(settings.home, both.anna.ids["session"])

        for wrong in ("", "ben", "陳怡"):
            refused = await both.anna.http.post("/api/me/forget", json={"confirm": wrong})
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "not_confirmed")
        assert (await both.anna.http.get(f"/api/sessions/{both.anna.ids['session']}")).status_code == 200

        done = await both.anna.http.post("/api/me/forget", json={"confirm": "陳怡君"})
        assert (done.status_code, done.json()) == (
            200,
            {"object": "kuaimei.forgotten", "sessions": 1, "voices": 1, "left": []},
        )
        after = await dumped(both)
        assert [word for word in (SECRET, *ids) if word in after] == []
        assert everywhere(settings.home, SECRET, *ids) == []
        assert not both.living.bank.learned.keys() & set(ids)

        # Of somebody else nothing is missing, and whoever was forgotten may still come.
        assert OTHER in after
        whole = await both.ben.http.get("/api/me/export")
        assert whole.status_code == 200
        assert (await both.ben.http.get(f"/api/sessions/{both.ben.ids['session']}")).status_code == 200
        me = (await both.anna.http.get("/api/me")).json()
        assert (me["name"], me["notice"]["accepted"]) == ("陳怡君", False)
        assert (await both.anna.http.get("/api/sessions")).json()["data"] == []


async def test_what_is_said_meanwhile_is_not_kept(settings: Settings) -> None:
    async with two(settings) as both:
        async with talking(both.served, additional_headers=both.anna.shown) as talk:
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": SECRET}]}
            await talk.send("conversation.item.create", item=item)
            await talk.until("conversation.item.done")
            done = await both.anna.http.post("/api/me/forget", json={"confirm": "陳怡君"})
            assert done.json()["sessions"] == 1
            await talk.send("conversation.item.create", item=item)
            await talk.until("conversation.item.done")
        assert await both.store.flush()
        assert SECRET not in await dumped(both)
        assert everywhere(settings.home, SECRET) == []


@pytest.mark.usefixtures("trouble")
async def test_what_was_cut_off_is_gone_on_with(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of it fails once, as if the process had ended there; in the end nothing is left."""
    async with two(settings) as both:
        await both.own(both.anna)
        store, home, ids = both.store, settings.home, [*both.anna.ids.values()]
        library = both.living.library
        steps: list[tuple[Any, str]] = [
            (store, "forget_waiting"),
            (store, "delete_session"),
            (library.maintenance, "delete"),
            (store.preferences, "forget"),
            (store.ratings, "forget"),
            (store.people, "end_forgetting"),
        ]
        for number, (where, name) in enumerate(steps):

            async def failing(*_: Any) -> None:
                raise StoreError("away")

            with monkeypatch.context() as broken:
                broken.setattr(where, name, failing)
                if number == 0:
                    asked = await both.anna.http.post("/api/me/forget", json={"confirm": "陳怡君"})
                    assert (asked.status_code, asked.json()["left"]) == (202, ["away"])
                else:
                    await forget_marked(store, erase_voice=library.maintenance.delete, home=home)
            assert (await store.people.get(both.anna.person.id)).forgetting == "things"
        await forget_marked(store, erase_voice=library.maintenance.delete, home=home)
        assert (await store.people.get(both.anna.person.id)).forgetting is None
        after = await dumped(both)
        assert [word for word in (SECRET, *ids) if word in after] == []
        assert everywhere(home, SECRET, *ids) == []


async def test_a_deletion_that_takes_long_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "_PATIENCE_S", 0.01)
    async with two(settings) as both:
        await both.own(both.anna)
        may_end = asyncio.Event()
        delete = both.store.delete_session

        async def slowly(session: str) -> None:
            await may_end.wait()
            await delete(session)

        monkeypatch.setattr(both.store, "delete_session", slowly)
        for _ in range(2):  # asked twice, it is done once
            asked = await both.anna.http.post("/api/me/forget", json={"confirm": "陳怡君"})
            assert asked.status_code == 202
            assert asked.json() == {"object": "kuaimei.forgotten", "sessions": 1, "voices": 1, "left": []}
        may_end.set()
        gone: list[bool] = []

        async def look() -> None:
            while (await both.store.people.get(both.anna.person.id)).forgetting is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            gone.append(True)

        looking = asyncio.ensure_future(look())
        await eventually(lambda: bool(gone))
        await looking
        assert SECRET not in await dumped(both)


async def test_what_somebody_does_afterwards_stays(settings: Settings) -> None:
    """Cut off and gone on with a day later, it takes what was there when it was asked for."""
    async with two(settings) as both:
        await both.own(both.anna)
        before = dict(both.anna.ids)
        await both.store.people.begin_forgetting(both.anna.person.id, "things")
        await both.own(both.anna)  # she says the very same again
        after = dict(both.anna.ids)
        home, erase = settings.home, both.living.library.maintenance.delete
        done = await forget(both.store, both.anna.person.id, "things", erase_voice=erase, home=home)
        assert (done.sessions, done.voices, done.left) == (1, 1, ())
        assert (await both.anna.http.get(f"/api/sessions/{before['session']}")).status_code == 404
        assert (await both.anna.http.get(f"/api/voices/{before['voice']}")).status_code == 404
        said = (await both.anna.http.get(f"/api/sessions/{after['session']}/utterances")).json()["data"]
        assert len(said) == 3
        assert (await both.anna.http.get(f"/api/voices/{after['voice']}")).status_code == 200
