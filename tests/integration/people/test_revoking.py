"""A key that is revoked lets nobody in any more, and whoever came in by it goes at once."""

import asyncio
import json

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kuaimei.errors import StoreError
from kuaimei.people import authentication as entrances
from kuaimei.people.authentication import Authentication
from kuaimei.people.keys import digest
from kuaimei.people.machine_key import ensure_machine_key, replace_machine_key
from kuaimei.settings import Settings
from kuaimei.store import open_store
from tests.support.people.two_people import two
from tests.support.server.app_server import (
    InMemoryRuntime,
    MemoryArchive,
    eventually,
    make_settings,
    serving,
)
from tests.support.server.realtime_client import talking
from tests.support.server.webrtc_client import Caller, offer_of


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """Code and reason with which the server ends the connection."""
    async with asyncio.timeout(20):
        while True:
            try:
                await socket.recv()
            except ConnectionClosed as ended:
                return (0, "") if ended.rcvd is None else (ended.rcvd.code, ended.rcvd.reason)


@pytest.mark.usefixtures("trouble")
async def test_open_connections_end_and_others_go_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrances, "_POLL_S", 3600.0)  # it is heard of, not found by asking
    async with two(settings) as both, Caller() as caller:
        shown = both.anna.shown["Authorization"]
        answer = await offer_of(both.served, await caller.offer(), authorization=shown)
        await caller.accept(answer.text, answer.headers["location"])
        await caller.until("session.created")
        async with (
            talking(both.served, additional_headers=both.anna.shown) as talk,
            talking(both.served, additional_headers=both.ben.shown) as other,
        ):
            async with open_store(settings) as elsewhere:  # as the command does, in another process
                await elsewhere.keys.revoke(both.anna.key_id)
            error = await talk.error()
            assert error["code"] == "key_revoked"
            assert "ask whoever runs the server" in error["message"]
            assert await closed(talk.socket) == (1008, "key_revoked")
            goodbye = await caller.until("kuaimei.goodbye")
            assert (goodbye["code"], goodbye["reason"]) == (1008, "key_revoked")
            async with asyncio.timeout(20):
                await caller.closed.wait()
            assert (await both.anna.http.get("/api/me")).status_code == 401
            with pytest.raises(InvalidStatus) as refused:
                async with connect(both.served.socket_url, additional_headers=both.anna.shown):
                    pass
            assert refused.value.response.status_code == 401
            await other.send("session.update", session={"type": "realtime"})
            await other.until("session.updated")
            assert (await both.ben.http.get("/api/me")).status_code == 200


async def test_whoever_waits_in_the_queue_goes_as_well(settings: Settings) -> None:
    one_place = settings.server.model_copy(update={"max_sessions": 1})
    async with (
        two(settings.model_copy(update={"server": one_place})) as both,
        talking(both.served, additional_headers=both.ben.shown),
        connect(both.served.socket_url, additional_headers=both.anna.shown) as waiting,
    ):
        assert json.loads(await waiting.recv())["type"].startswith("kuaimei.")
        await both.store.keys.revoke(both.anna.key_id)
        assert await closed(waiting) == (1008, "key_revoked")


async def answered(client: httpx.AsyncClient, status: int) -> None:
    """Wait until the client is answered so: what another process changed is heard of in a moment."""
    async with asyncio.timeout(20):
        while (await client.get("/api/me")).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("trouble")
async def test_another_key_of_the_same_person_goes_on(settings: Settings) -> None:
    async with two(settings) as both:
        second = "km_" + "0123456789abcdefghjkmnpqrstvwxyz"
        kept = await both.store.keys.add(both.anna.person.id, sha256=digest(second), prefix="km_0123")
        shown = {"Authorization": f"Bearer {second}"}
        async with httpx.AsyncClient(base_url=both.served.url, headers=shown) as client:
            await answered(client, 200)
            async with talking(both.served, additional_headers=shown) as talk:
                await both.store.keys.revoke(both.anna.key_id)
                await answered(both.anna.http, 401)
                await talk.send("session.update", session={"type": "realtime"})
                await talk.until("session.updated")
                await both.store.keys.revoke(kept.id)
                assert await closed(talk.socket) == (1008, "key_revoked")


async def test_somebody_who_is_forgotten_goes(settings: Settings) -> None:
    async with two(settings) as both, talking(both.served, additional_headers=both.anna.shown) as talk:
        await both.store.people.begin_forgetting(both.anna.person.id, "all")
        assert await closed(talk.socket) == (1008, "key_revoked")


async def test_a_notification_that_is_lost_is_made_up_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrances, "_POLL_S", 0.05)
    async with two(settings) as both, talking(both.served, additional_headers=both.anna.shown) as talk:
        async with both.store._database.begin() as connection:  # by nobody who tells of it
            await connection.exec_driver_sql("update keys set revoked_at = now()")
        assert await closed(talk.socket) == (1008, "key_revoked")


async def test_the_machines_own_key_is_replaced_while_the_server_runs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrances, "_POLL_S", 0.05)
    given = make_settings(open=False, home=settings.home)
    old = ensure_machine_key(given.home)
    authentication = await asyncio.to_thread(Authentication.of_machine, given)
    async with serving(InMemoryRuntime(settings=given), authentication=authentication) as served:
        async with talking(served, additional_headers={"Authorization": f"Bearer {old}"}) as talk:
            new = await asyncio.to_thread(replace_machine_key, given.home)
            assert await closed(talk.socket) == (1008, "key_revoked")
        async with talking(served, additional_headers={"Authorization": f"Bearer {new}"}):
            pass


@pytest.mark.usefixtures("trouble")
async def test_while_the_database_is_away_whoever_was_let_in_still_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entrances, "_POLL_S", 0.02)
    archive = MemoryArchive()
    anna = await archive.people.add("anna")
    key = await archive.keys.give(anna)
    asked = 0

    async def away() -> list[object]:
        nonlocal asked
        asked += 1
        raise StoreError("the database is away")

    async with serving(InMemoryRuntime(settings=make_settings(open=False), store=archive)) as served:
        monkeypatch.setattr(archive.keys, "valid", away)
        archive.people.changed.set()
        await eventually(lambda: asked > 2)
        async with talking(served, additional_headers={"Authorization": f"Bearer {key}"}):
            pass
