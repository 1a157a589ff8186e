"""People and their keys; whatever is kept belongs to one of them, and nothing to somebody who is gone."""

import asyncio

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.engine import Connection

from kuaimei.dialogue.events import UserText
from kuaimei.errors import Conflict, NotFound, StoreError
from kuaimei.people.keys import digest, new_key, prefix_of
from kuaimei.settings import Settings
from kuaimei.store import open_store
from kuaimei.store import store as stores
from kuaimei.store.database import Database
from kuaimei.store.keys import Key
from kuaimei.store.store import Store
from tests.support.store.talking import now

OLD = """
insert into sessions (id, client) values ('sess_me', '{"agent": "curl"}'),
    ('sess_local', '{"owner": "local"}'), ('sess_you', '{"owner": "you", "person": "anna"}');
insert into utterances
    (id, session_id, turn, speaker, is_turn, started_at, state, interrupted, voice, engine, run)
    values ('utt_1', 'sess_you', 1, 'user', true, now(), 'stored', false, '', '', 'run');
insert into voices (id, owner, name, state, duration_s, consent, learning)
    values ('voice_1', 'me too', 'v', 'ready', 5, '{}', '{}');
insert into ratings (utterance_id, owner, rater, confidence) values ('utt_1', 'you', '', 3);
insert into preferences (id, owner, kind, first, second, swapped)
    values ('trial_1', 'they', 'voices', 'a', 'b', false);
"""


def _migrated(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", "src/kuaimei/store/migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def given_key(store: Store, person: str, label: str = "") -> tuple[str, Key]:
    """A key, and what is kept of it."""
    key = new_key()
    kept = await store.keys.add(person, sha256=digest(key), prefix=prefix_of(key), label=label)
    return key, kept


async def test_whoever_owned_something_becomes_a_person(settings: Settings) -> None:
    database = Database(settings.store.database_url)
    async with database.begin() as connection:
        await connection.run_sync(_migrated, "0007")
        for statement in filter(str.strip, OLD.split(";")):
            await connection.exec_driver_sql(statement)
    await database.migrate()
    await database.close()
    async with open_store(settings) as store:
        sessions = {s.id: (s.owner, s.client) for s in await store.sessions()}
        assert sessions == {
            "sess_me": ("local", {"agent": "curl"}),
            "sess_local": ("local", {}),
            "sess_you": ("you", {"person": "anna"}),
        }
        people = {person.id: person.role for person in await store.people.all()}
        assert people == {
            "local": "operator",
            "you": "member",
            "me too": "member",
            "they": "member",
        }
        assert not (await store.voices.all("me too"))[0].shared


async def test_people_and_their_keys(settings: Settings) -> None:
    async with open_store(settings) as store:
        anna = await store.people.add("陳怡君", "operator")
        assert (anna.role, anna.notice_version, anna.forgetting) == ("operator", None, None)
        with pytest.raises(Conflict, match="陳怡君"):
            await store.people.add("陳怡君")
        assert (await store.people.ensure("陳怡君")).id == anna.id
        ben = await store.people.ensure("ben")
        assert ben.role == "member"
        key, kept = await given_key(store, anna.id, "手機")
        with pytest.raises(NotFound):
            await given_key(store, "person_nobody")
        (admitted,) = await store.keys.valid()
        assert (admitted.sha256, admitted.person.id, admitted.key) == (digest(key), anna.id, kept.id)
        assert (kept.label, kept.prefix, kept.last_used_at, kept.revoked_at) == ("手機", key[:7], None, None)
        await store.keys.note_use([kept.id])
        (used,) = await store.keys.all(anna.id)
        assert used.last_used_at is not None
        assert used.last_used_at.second == used.last_used_at.minute % 10 == 0  # coarse
        again = await store.keys.revoke(key[:7])
        assert again.revoked_at is not None
        assert await store.keys.valid() == []
        assert (await store.keys.revoke(kept.id)).revoked_at == again.revoked_at
        with pytest.raises(NotFound, match="kuaimei people keys"):
            await store.keys.revoke("km_none")
        assert [row[1:] for row in await store.people.counts()] == [(0, 0, 0)] * 3


async def test_no_key_is_kept(settings: Settings) -> None:
    async with open_store(settings) as store:
        anna = await store.people.add("anna")
        key, _ = await given_key(store, anna.id)
        places = await store.leftovers([key], [key, key[7:]])
        assert len(places) > 30
        assert [place for place in places if place.found] == []


async def test_every_change_is_heard_by_other_processes(settings: Settings) -> None:
    async with open_store(settings) as store, open_store(settings) as other:
        async with store.people.listening() as changed:
            async with asyncio.timeout(20):
                anna = await other.people.add("anna")
                await changed(60.0)
                _, key = await given_key(other, anna.id)
                await changed(60.0)
                await other.keys.revoke(key.id)
                await changed(60.0)
                await other.people.change_role(anna.id, "operator")
                await changed(60.0)
                await other.people.begin_forgetting(anna.id, "all")
                await changed(60.0)
                await other.people.end_forgetting(anna.id)
                await changed(60.0)
        assert [person.id for person in await store.people.all()] == ["local"]


async def test_a_page_of_sessions_is_a_page_of_ones_own(settings: Settings) -> None:
    async with open_store(settings) as store:
        anna, ben = await store.people.add("anna"), await store.people.add("ben")
        for number in range(20):
            await store.create_session(owner=(anna if number % 2 else ben).id)
        page = await store.sessions(4, owner=anna.id)
        assert [session.owner for session in page] == [anna.id] * 4
        rest = await store.sessions(50, before=page[-1].id, owner=anna.id)
        assert len({s.id for s in (*page, *rest)}) == 10
        assert await store.sessions(50, owner="nobody") == []
        assert len(await store.sessions(50)) == 20


async def test_nothing_of_somebody_who_is_gone_can_be_kept(settings: Settings) -> None:
    async with open_store(settings) as store:
        anna = await store.people.add("anna")
        recorder = store.recorder("sess_late", owner=anna.id)
        await store.people.remove(anna.id)
        recorder(UserText(1, now(), "太晚了"))
        await recorder.close()
        assert await store.flush()
        assert await store.sessions() == []
        assert (await store.statistics()).unsaved == 0
        with pytest.raises(NotFound, match="no person"):
            await store.ensure_session("sess_later", owner=anna.id)
        assert not list((settings.home / "spool").rglob("utt_*"))


async def test_somebody_who_owns_something_is_not_removed_by_the_way(settings: Settings) -> None:
    async with open_store(settings) as store:
        anna = await store.people.add("anna")
        session = await store.create_session(owner=anna.id)
        with pytest.raises(Conflict, match="forget"):
            await store.people.remove(anna.id)
        with pytest.raises(Conflict, match="cannot be removed"):
            await store.people.remove("local")
        await store.people.begin_forgetting(anna.id, "all")
        with pytest.raises(Conflict, match="meanwhile"):
            await store.people.end_forgetting(anna.id)
        await store.delete_session(session)
        await store.people.end_forgetting(anna.id)
        with pytest.raises(NotFound):
            await store.people.get(anna.id)


@pytest.mark.usefixtures("trouble")
async def test_what_waited_in_a_spool_is_still_whose_it_was(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was away while somebody spoke, and the process died before it came back."""
    monkeypatch.setattr(stores, "_CLOSE_WAIT_S", 0.1)
    monkeypatch.setattr("kuaimei.store.recorder._CLOSE_TIMEOUT_S", 0.1)
    async with open_store(settings) as store:
        anna = await store.people.add("anna")
        begin = store._database.begin

        def away() -> None:
            raise StoreError("the database is away")

        monkeypatch.setattr(store._database, "begin", away)
        recorder = store.recorder("sess_spooled", owner=anna.id)
        recorder(UserText(1, now(), "我的話"))
        await recorder.close()
        monkeypatch.setattr(store._ingest._database, "heal", _nothing)
    monkeypatch.setattr(store._database, "begin", begin)
    async with open_store(settings) as store:
        assert [(s.id, s.owner) for s in await store.sessions()] == [("sess_spooled", anna.id)]


async def _nothing() -> None: ...


async def test_the_notice_is_agreed_to(settings: Settings) -> None:
    async with open_store(settings) as store:
        agreed = await store.people.accept_notice("local", "1")
        assert agreed.notice_version == "1"
        assert agreed.notice_accepted_at is not None
        assert (await store.people.accept_notice("local", None)).notice_accepted_at is None
        with pytest.raises(NotFound):
            await store.people.accept_notice("person_nobody", "1")


async def test_a_downgrade_says_again_whose_it_is(settings: Settings) -> None:
    async with open_store(settings) as store:
        anna = await store.people.add("anna")
        await store.create_session({"agent": "x"}, owner=anna.id)
    database = Database(settings.store.database_url)
    async with database.begin() as connection:
        await connection.run_sync(_downgraded)
        client = await connection.scalar(text("select client from sessions"))
    await database.close()
    assert client == {"agent": "x", "owner": anna.id}


def _downgraded(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "src/kuaimei/store/migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.downgrade(config, "0007")
