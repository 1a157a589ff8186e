"""What belongs to somebody is nobody else's: two keys, over HTTP, WebSocket and WebRTC, at every route."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kuaimei.http import refusals
from kuaimei.server.app import create_app
from kuaimei.settings import Settings
from tests.support.people.two_people import SECRET, Somebody, Two, two
from tests.support.server.app_server import InMemoryRuntime
from tests.support.server.realtime_client import talking
from tests.support.server.webrtc_client import Caller, offer_of

FREE = {"name", "side"}
"""Parameters of paths that name nothing of anybody's: a model, and which of two clips."""
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("PATCH", "/api/sessions/{session}"): {"title": "我的"},
    ("PATCH", "/api/voices/{voice}"): {"name": "我的", "shared": True},
    ("POST", "/api/voices/{voice}/learn"): {},
    ("POST", "/api/labelling/{utterance}"): {"confidence": 3},
    ("POST", "/api/listening/{trial}"): {"choice": "a"},
}
"""What a route wants that has a body; one that is missing here is told by a status of 400."""
ALREADY = {("POST", "/api/voices/{voice}/learn"), ("POST", "/api/listening/{trial}")}
"""Answered to their owner with 409: it is learned, it is judged."""
ONCE = {("POST", "/api/recordings/{utterance}/hq")}
"""Answered with 409 to its owner, where replies are rendered once."""


def routes() -> Iterator[tuple[str, str]]:
    """Method and path of every route."""
    for route in _api_routes(create_app(InMemoryRuntime()).routes):
        for method in sorted(route.methods or ()):
            yield method, route.path


def _api_routes(found: Any) -> Iterator[APIRoute]:
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "effective_route_contexts"):
            for context in route.effective_route_contexts():
                yield from _api_routes([context.original_route])
        elif hasattr(route, "routes"):
            yield from _api_routes(route.routes)


def names(path: str) -> set[str]:
    return set(re.findall(r"{(\w+)", path)) - FREE


WITH_IDS = sorted(
    ((method, path) for method, path in routes() if names(path)),
    # Whoever deletes comes last.
    key=lambda one: (one[0] == "DELETE", "hangup" in one[1], one[1].count("/") == 3, one),
)
WITHOUT_IDS = ["/api/openapi.json", *(path for how, path in routes() if how == "GET" and "{" not in path)]


def address(path: str, ids: dict[str, str]) -> str:
    """The path with ids in it; one of a kind that nobody knows of fails here."""
    filled = re.sub(r"{(\w+)[^}]*}", lambda m: {"side": "a", "name": "kuaimei", **ids}[m[1]], path)
    assert "{" not in filled
    return filled


def test_the_routes_are_found() -> None:
    assert len(WITH_IDS) >= 23
    assert {name for _, path in WITH_IDS for name in names(path)} == {
        *("session", "utterance", "voice", "trial", "call"),
    }
    assert {"/api/sessions", "/api/me", "/api/voices", "/metrics"} <= set(WITHOUT_IDS)


async def asked(who: Somebody, method: str, path: str, ids: dict[str, str]) -> httpx.Response:
    body = BODIES.get((method, path))
    return await who.http.request(method, address(path, ids), json=body)


def told(answer: httpx.Response, ids: dict[str, str]) -> tuple[int, str, str]:
    """Status, code and message of a refusal, without the id that it was about."""
    error = answer.json()["error"]
    message = str(error["message"])
    for id_ in ids.values():
        message = message.replace(id_, "ID")
    return answer.status_code, error["code"], message


async def test_every_route_with_an_id_answers_as_if_it_were_not_there(settings: Settings) -> None:
    async with two(settings) as both, Caller() as caller:
        await both.own(both.anna)
        shown = both.anna.shown["Authorization"]
        answer = await offer_of(both.served, await caller.offer(), authorization=shown)
        assert answer.status_code == 201, answer.text
        both.anna.ids["call"] = answer.headers["location"].rsplit("/", 1)[1]
        await caller.accept(answer.text, answer.headers["location"])
        await caller.until("session.created")
        ids = both.anna.ids
        nowhere = {name: f"{id_.partition('_')[0]}_{'0' * 26}" for name, id_ in ids.items()}
        before = await everything(both)

        for method, path in WITH_IDS:
            theirs = told(await asked(both.ben, method, path, ids), ids)
            none = told(await asked(both.ben, method, path, nowhere), nowhere)
            assert theirs == none, f"{method} {path}"
            assert theirs[:2] == (404, "not_found"), f"{method} {path}"
        assert await everything(both) == before

        # The same asked by whose it is: the ids are right, and the test could have failed.
        for method, path in WITH_IDS:
            own = await asked(both.anna, method, path, ids)
            allowed = {200, 201, 202, 204} | ({409} if (method, path) in ALREADY | ONCE else set())
            assert own.status_code in allowed, f"{method} {path}: {own.text[:300]}"


async def everything(both: Two) -> Any:
    """What is kept of Anna's, as she sees it."""
    return [
        (await both.anna.http.get(address(path, both.anna.ids))).json()
        for path in ("/api/sessions/{session}", "/api/sessions/{session}/utterances", "/api/voices/{voice}")
    ]


@pytest.mark.usefixtures("trouble")  # that somebody was refused is told
async def test_nothing_that_is_listed_is_somebody_elses(settings: Settings) -> None:
    async with two(settings) as both:
        await both.own(both.anna)
        for path in WITHOUT_IDS:
            found = await contents(both.ben, path)
            for secret in (SECRET, *both.anna.ids.values(), both.anna.person.id, "陳怡君"):
                assert secret not in found, f"{path} tells {secret}"
        mine = {path: await contents(both.anna, path) for path in WITHOUT_IDS}
        for path in ("/api/sessions", "/api/voices", "/api/listening/results.csv", "/api/me/export"):
            assert SECRET in mine[path]
        for path in ("/api/status", "/metrics", "/healthz", "/api/openapi.json"):
            assert SECRET not in mine[path]


async def contents(who: Somebody, path: str) -> str:
    """What an answer tells, whatever its form; of a ZIP file all that is in it."""
    answer = await who.http.get(path)
    if answer.headers.get("content-type") != "application/zip":
        return answer.text + json.dumps(answer.json() if "json" in answer.headers["content-type"] else "")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        return "".join(f"{name} {file.read(name).decode(errors='replace')}" for name in file.namelist())


async def test_nobody_goes_on_with_somebody_elses_session(settings: Settings) -> None:
    async with two(settings) as both:
        await both.own(both.anna)
        session = both.anna.ids["session"]
        for takeover in ("", "&takeover=true"):
            url = f"{both.served.socket_url}?session={session}{takeover}"
            async with connect(url, additional_headers=both.ben.shown) as socket:
                assert json.loads(await socket.recv())["error"]["code"] == "session_not_found"
            async with Caller() as caller:
                query = f"?session={session}{takeover}"
                shown = both.ben.shown["Authorization"]
                answer = await offer_of(both.served, await caller.offer(), query, authorization=shown)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "session_not_found")
        async with talking(both.served, f"?session={session}", additional_headers=both.anna.shown) as talk:
            assert talk.events[0]["session"]["id"] == session


async def test_what_is_said_belongs_to_who_said_it(settings: Settings) -> None:
    async with two(settings) as both:
        async with talking(both.served, additional_headers=both.ben.shown) as talk:
            session = talk.events[0]["session"]["id"]
            assert (await both.store.session(session)).owner == both.ben.person.id
        async with Caller() as caller:
            answer = await offer_of(
                both.served, await caller.offer(), authorization=both.anna.shown["Authorization"]
            )
            await caller.accept(answer.text, answer.headers["location"])
            session = (await caller.until("session.created"))["session"]["id"]
            assert (await both.store.session(session)).owner == both.anna.person.id


async def test_in_a_voice_that_is_not_shared_nobody_else_speaks(settings: Settings) -> None:
    async with two(settings) as both:
        await both.own(both.anna)
        voice = both.anna.ids["voice"]
        spoken = {"input": "你好", "voice": voice, "response_format": "pcm"}
        wanted = {"type": "realtime", "audio": {"output": {"voice": voice}}}
        heard: list[str] = []

        async def tries(who: Somebody) -> list[int | str]:
            """How each way to speak in it, or to hear it, ends."""
            ways: list[int | str] = [(await who.http.post("/v1/audio/speech", json=spoken)).status_code]
            ways += [
                (await who.http.get(f"/api/voices/{voice}{rest}")).status_code for rest in ("", "/sample")
            ]
            compared = await who.http.post("/api/listening/next", params={"kind": "voices", "voice": voice})
            ways.append(compared.status_code)
            async with talking(both.served, additional_headers=who.shown) as talk:
                await talk.send("session.update", session=wanted)
                event = await talk.next()
                ways.append(event.get("error", {}).get("code", "ok") if "error" in event else "ok")
                if "error" in event:
                    heard.append(event["error"]["message"])
            async with Caller() as caller:
                data = {"sdp": await caller.offer(), "session": json.dumps(wanted)}
                form = {name: (None, text) for name, text in data.items()}
                answer = await who.http.post("/v1/realtime/calls", files=form)
                ways.append(answer.status_code)
            listed = (await who.http.get("/api/voices")).json()["data"]
            return [*ways, "listed" if voice in [one["id"] for one in listed] else "not listed"]

        none = [400, 404, 404, 404, "voice_not_found", 400, "not listed"]
        whole = [200, 200, 200, 200, "ok", 201, "listed"]
        assert await tries(both.anna) == whole
        assert await tries(both.ben) == none
        assert all(voice not in message.partition(";")[2] for message in heard)

        shared = await both.anna.http.patch(f"/api/voices/{voice}", json={"shared": True})
        assert (shared.json()["shared"], shared.json()["mine"]) == (True, True)
        assert await tries(both.ben) == whole
        seen = (await both.ben.http.get(f"/api/voices/{voice}")).json()
        assert (seen["shared"], seen["mine"], seen["consent"], seen["transcript"]) == (
            True,
            False,
            None,
            None,
        )
        assert seen["reference"] is None
        assert both.anna.person.id not in json.dumps(seen)
        for method, rest, body in (
            ("PATCH", "", {"name": "我的"}),
            ("PATCH", "", {"shared": False}),
            ("DELETE", "", None),
            ("POST", "/learn", {}),
            ("POST", "/learn/cancel", None),
            ("GET", "/reference", None),
        ):
            refused = await both.ben.http.request(method, f"/api/voices/{voice}{rest}", json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")

        async with talking(both.served, additional_headers=both.ben.shown) as talk:
            await talk.send("session.update", session=wanted)
            assert (await talk.until("session.updated"))["session"]["audio"]["output"]["voice"] == voice
            await both.anna.http.patch(f"/api/voices/{voice}", json={"shared": False})
            # Whoever speaks in it at that moment stops doing so.
            assert (await talk.until("session.updated"))["session"]["audio"]["output"]["voice"] == "zf_one"
        assert await tries(both.ben) == none
        assert await tries(both.anna) == whole


async def test_a_default_voice_that_is_somebodys_is_nobody_elses_default(settings: Settings) -> None:
    async with two(settings) as both:
        await both.own(both.anna)
        voice = both.anna.ids["voice"]
        room = both.living.library.context
        object.__setattr__(room.settings, "voice", voice)  # as if it had been configured
        for who, default in ((both.anna, voice), (both.ben, "zf_one")):
            assert (await who.http.get("/api/status")).json()["voice"] == default
            async with talking(both.served, additional_headers=who.shown) as talk:
                assert talk.events[0]["session"]["audio"]["output"]["voice"] == default
            await who.http.post("/v1/audio/speech", json={"input": "你好", "response_format": "pcm"})
            assert both.living.bank.requests[-1].voice_id == default


@pytest.mark.usefixtures("trouble")  # that somebody was refused is told
@pytest.mark.parametrize("role", ["member", "operator"])
async def test_an_operator_sees_how_much_there_is_and_nobodys_words(settings: Settings, role: Any) -> None:
    async with two(settings, roles=("member", role)) as both:
        await both.own(both.anna)
        metrics = await both.ben.http.get("/metrics")
        if role == "member":
            assert (metrics.status_code, metrics.json()["error"]["code"]) == (403, "not_allowed")
        else:
            assert metrics.status_code == 200
            assert "kuaimei_store_sessions 1.0" in metrics.text
            assert 'kuaimei_refused_total{reason="wrong_key"} 0.0' in metrics.text
        assert SECRET not in metrics.text
        assert (await both.ben.http.get("/api/sessions")).json()["data"] == []
        assert (await both.ben.http.get(f"/api/sessions/{both.anna.ids['session']}")).status_code == 404
        status = (await both.ben.http.get("/api/status")).json()
        assert (status["sessions"] is None) == (role == "member")


OPEN = {"/", "/healthz", "/readyz"}
OPERATORS = {"/metrics"}


@pytest.mark.usefixtures("trouble")
async def test_every_route_needs_a_key_and_few_an_operators(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever adds a route has to say here that it is open to all, or to operators alone."""
    monkeypatch.setattr(refusals, "_MAX_DELAY_S", 0.0)  # so many wrong keys would take ever longer
    async with two(settings) as both, httpx.AsyncClient(base_url=both.served.url) as stranger:
        nowhere = dict.fromkeys(("session", "utterance", "voice", "trial", "call"), "sess_0")
        found: dict[str, set[str]] = {"open": set(), "operators": set()}
        for method, path in routes():
            for key in ({}, {"Authorization": "Bearer none"}):
                answer = await stranger.request(method, address(path, nowhere), headers=key)
                if answer.status_code != 401:
                    found["open"].add(path)
            if method == "GET" and path != "/api/me/export":
                answer = await both.ben.http.get(address(path, nowhere))
                if answer.status_code == 403:
                    found["operators"].add(path)
        assert found == {"open": OPEN, "operators": OPERATORS}
        for key in ({}, {"Authorization": "Bearer none"}):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(both.served.socket_url, additional_headers=key):
                    pass
            assert refused.value.response.status_code == 401
