"""A company's own sign-in: a proxy says who somebody is, and only that proxy is believed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from kuaimei.settings import ServerSettings, Settings
from tests.support.people.two_people import Two, two
from tests.support.server.realtime_client import talking

pytestmark = pytest.mark.usefixtures("trouble")  # that somebody was refused is told


@asynccontextmanager
async def proxied(
    settings: Settings, proxies: tuple[str, ...]
) -> AsyncIterator[tuple[Two, httpx.AsyncClient]]:
    server = ServerSettings(port=0, identity_header="X-Forwarded-User", trusted_proxies=proxies)
    async with (
        two(settings.model_copy(update={"server": server})) as both,
        httpx.AsyncClient(base_url=both.served.url, trust_env=False) as client,
    ):
        yield both, client


async def me(client: httpx.AsyncClient, name: str) -> httpx.Response:
    return await client.get("/api/me", headers={b"X-Forwarded-User": name.encode()})


async def test_somebody_is_made_at_first_sight_and_known_afterwards(settings: Settings) -> None:
    async with proxied(settings, ("127.0.0.0/8",)) as (both, client):
        first = (await me(client, "王小明")).json()
        assert (first["name"], first["role"], first["via"]) == ("王小明", "member", "proxy")
        assert (await me(client, "王小明")).json()["id"] == first["id"]
        assert (await both.store.people.named("王小明")).id == first["id"]
        headers = {"X-Forwarded-User": "claire"}
        async with talking(both.served, additional_headers=headers) as talk:
            session = talk.events[0]["session"]["id"]
        claire = (await me(client, "claire")).json()["id"]
        assert (await both.store.session(session)).owner == claire
        assert (await client.get(f"/api/sessions/{session}", headers=headers)).status_code == 200
        others = {"X-Forwarded-User": "ben"}
        assert (await client.get(f"/api/sessions/{session}", headers=others)).status_code == 404


async def test_an_operator_is_who_was_made_one(settings: Settings) -> None:
    async with proxied(settings, ("127.0.0.1",)) as (both, client):
        await both.store.people.add("root@corp.example", "operator")
        headers = {"X-Forwarded-User": "root@corp.example"}
        assert (await client.get("/metrics", headers=headers)).status_code == 200
        assert (await client.get("/metrics", headers={"X-Forwarded-User": "ben"})).status_code == 403


async def test_nobody_else_is_believed(settings: Settings) -> None:
    async with proxied(settings, ("10.0.0.0/8",)) as (both, client):
        assert (await me(client, "王小明")).status_code == 401
        # What is said of whom the request came from makes nobody a trusted proxy.
        forged = {"X-Forwarded-User": "ben", "X-Forwarded-For": "10.0.0.7", "Forwarded": "for=10.0.0.7"}
        assert (await client.get("/api/me", headers=forged)).status_code == 401
        shown = {**forged, **both.anna.shown}
        assert (await client.get("/api/me", headers=shown)).json()["id"] == both.anna.person.id


@pytest.mark.parametrize("name", ["local", "", "a" * 81, "person_01j9", "\u202eevil"])
async def test_a_proxy_makes_nobody_the_one_who_runs_the_server(settings: Settings, name: str) -> None:
    async with proxied(settings, ("127.0.0.1",)) as (both, client):
        refused = await me(client, name)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
        assert len(await both.store.people.all()) == 3  # whoever runs it, and the two


async def test_the_header_comes_once(settings: Settings) -> None:
    """A proxy that adds its header to the client's instead of replacing it is told so."""
    async with proxied(settings, ("127.0.0.1",)) as (_, client):
        twice = [("X-Forwarded-User", "ben"), ("X-Forwarded-User", "anna")]
        refused = await client.get("/api/me", headers=twice)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
        assert "must replace it" in refused.json()["error"]["message"]
        wild = await client.get("/api/me", headers=[(b"X-Forwarded-User", b"\xff\xfe")])
        assert wild.status_code == 403
