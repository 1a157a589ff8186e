"""Nobody keeps the event loop for long: every route and every client event at its documented maximum."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import httpx
import pytest
from websockets.asyncio.client import connect

from kuaimei.server.realtime.items import TEXT_LIMIT
from kuaimei.server.realtime.loops import FRAME_LIMIT
from kuaimei.server.realtime.protocol import CLIENT_EVENTS
from kuaimei.settings import AnalysisSettings, Settings
from tests.support.routes import routes_of
from tests.support.server.app_server import quick_engines
from tests.support.server.realtime_client import b64
from tests.support.server.whole_server import LONG, Apart, apart, fill
from tests.support.voices.running_library import FakeVoiceBank, audio

WORST_MS: Final = 50.0
SESSION: Final = "sess_long"
UTTERANCE: Final = f"utt_{SESSION}_00000"

Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response | None]]


@pytest.fixture
def served(settings: Settings) -> Iterator[Apart]:
    analysis = AnalysisSettings(enabled=True)
    # The fakes compute on the loop: they are to have little to do.
    engines = quick_engines(synthesizer=FakeVoiceBank(delay_s=0.0, character_ms=2.0))
    with apart(settings.model_copy(update={"analysis": analysis}), engines) as served:
        served.run(fill(served.whole.store, SESSION))
        yield served


def _get(path: str, **query: Any) -> Ask:
    return lambda client: client.get(path, params=query)


def _chat() -> dict[str, Any]:
    """As much text as there may be, in characters of every kind."""
    return {
        "messages": [
            {"role": "system", "content": "!" * 30_000},
            *({"role": "user", "content": "aé!" * 10} for _ in range(998)),
            {"role": "user", "content": "好吗"},
        ],
        "stop": ["z" * 64 for _ in range(4)],
    }


async def _many_parts(client: httpx.AsyncClient) -> httpx.Response:
    """Two megabytes of the smallest parts there are."""
    parts = ",".join(['{"type":"text","text":""}'] * 70_000)
    body = f'{{"messages":[{{"role":"user","content":[{parts}]}}]}}'
    return await client.post(
        "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
    )


async def _long_chat(client: httpx.AsyncClient) -> httpx.Response:
    await client.post(
        "/v1/chat/completions", json={"messages": [{"role": "system", "content": "!" * 2_000_000}]}
    )
    await client.post(
        "/v1/chat/completions",
        json={"messages": [{"role": "user", "content": "好"}], "stop": [f"zz{n}" for n in range(150_000)]},
    )
    await _many_parts(client)
    return await client.post("/v1/chat/completions", json=_chat())


async def _upload(client: httpx.AsyncClient) -> httpx.Response:
    fields = {"name": "美", "consent_speaker": "美", "consent_statement": "可以", "transcript": "今天"}
    files = {"file": ("a.flac", audio(2.0, 2.5, 3.0), "audio/flac")}
    return await client.post("/api/voices", data=fields, files=files)


async def _transcribe(client: httpx.AsyncClient) -> httpx.Response:
    files = {"file": ("a.flac", audio(*([20.0] * 20)), "audio/flac")}
    return await client.post(
        "/v1/audio/transcriptions", data={"response_format": "verbose_json"}, files=files
    )


def _json(method: str, path: str, body: Any) -> Ask:
    return lambda client: client.request(method, path, json=body)


async def _forget(client: httpx.AsyncClient) -> httpx.Response:
    name = (await client.get("/api/me")).json()["name"]
    return await client.post("/api/me/forget", json={"confirm": name})


CASES: Final[dict[tuple[str, str], Ask]] = {
    ("GET", "/"): _get("/"),
    ("GET", "/healthz"): _get("/healthz"),
    ("GET", "/readyz"): _get("/readyz"),
    ("GET", "/metrics"): _get("/metrics"),
    ("GET", "/v1/models"): _get("/v1/models"),
    ("GET", "/v1/models/{name}"): _get("/v1/models/" + "x" * 4000),
    ("POST", "/v1/audio/speech"): _json("POST", "/v1/audio/speech", {"input": "天氣好。" * 1024}),
    ("POST", "/v1/audio/transcriptions"): _transcribe,
    ("POST", "/v1/chat/completions"): _long_chat,
    ("POST", "/v1/realtime/calls"): lambda client: client.post(
        "/v1/realtime/calls", content="a=x\r\n" * 400_000, headers={"content-type": "application/sdp"}
    ),
    ("POST", "/v1/realtime/calls/{call}/hangup"): _json("POST", "/v1/realtime/calls/x/hangup", None),
    ("GET", "/api/status"): _get("/api/status"),
    ("GET", "/api/sessions"): _get("/api/sessions", limit=500, search="天氣" * 100),
    ("GET", "/api/sessions/{session}"): _get(f"/api/sessions/{SESSION}"),
    ("GET", "/api/sessions/{session}/utterances"): _get(f"/api/sessions/{SESSION}/utterances"),
    ("GET", "/api/sessions/{session}/turns"): _get(f"/api/sessions/{SESSION}/turns"),
    ("GET", "/api/sessions/{session}/export"): _get(f"/api/sessions/{SESSION}/export"),
    ("GET", "/api/sessions/{session}/analysis"): _get(f"/api/sessions/{SESSION}/analysis"),
    ("PATCH", "/api/sessions/{session}"): _json("PATCH", f"/api/sessions/{SESSION}", {"title": "x" * 200}),
    ("GET", "/api/recordings/{utterance}"): _get(f"/api/recordings/{UTTERANCE}"),
    ("GET", "/api/recordings/{utterance}/audio"): _get(f"/api/recordings/{UTTERANCE}/audio"),
    ("GET", "/api/recordings/{utterance}/analysis"): _get(f"/api/recordings/{UTTERANCE}/analysis"),
    ("POST", "/api/recordings/{utterance}/hq"): _json("POST", f"/api/recordings/{UTTERANCE}/hq", None),
    ("GET", "/api/voices"): _get("/api/voices"),
    ("GET", "/api/me"): _get("/api/me"),
    ("POST", "/api/me/notice"): _json("POST", "/api/me/notice", {"version": "1"}),
    ("GET", "/api/me/export"): _get("/api/me/export"),
    ("POST", "/api/me/sign-out"): _json("POST", "/api/me/sign-out", None),
    ("GET", "/api/voices/learning"): _get("/api/voices/learning"),
    ("GET", "/api/voices/texts"): _get("/api/voices/texts"),
    ("POST", "/api/voices"): _upload,
    ("GET", "/api/voices/{voice}"): _get("/api/voices/zf_one"),
    ("PATCH", "/api/voices/{voice}"): _json("PATCH", "/api/voices/x", {"name": "x" * 80}),
    ("POST", "/api/voices/{voice}/learn"): _json("POST", "/api/voices/x/learn", {}),
    ("POST", "/api/voices/{voice}/learn/cancel"): _json("POST", "/api/voices/x/learn/cancel", None),
    ("GET", "/api/voices/{voice}/reference"): _get("/api/voices/x/reference"),
    ("GET", "/api/voices/{voice}/sample"): _get("/api/voices/zf_one/sample"),
    ("DELETE", "/api/voices/{voice}"): _json("DELETE", "/api/voices/x", None),
    ("POST", "/api/listening/next"): _json("POST", "/api/listening/next", None),
    ("GET", "/api/listening/results"): _get("/api/listening/results"),
    ("GET", "/api/listening/results.csv"): _get("/api/listening/results.csv"),
    ("GET", "/api/listening/{trial}/{side}"): _get("/api/listening/x/a"),
    ("POST", "/api/listening/{trial}"): _json("POST", "/api/listening/x", {"choice": "a"}),
    ("DELETE", "/api/listening/results"): _json("DELETE", "/api/listening/results", None),
    ("GET", "/api/labelling/next"): _get("/api/labelling/next", skip=["x" * 40] * 500),
    ("GET", "/api/labelling/progress"): _get("/api/labelling/progress"),
    ("GET", "/api/labelling/labels.csv"): _get("/api/labelling/labels.csv"),
    ("POST", "/api/labelling/{utterance}"): _json("POST", f"/api/labelling/{UTTERANCE}", {"confidence": 3}),
    ("POST", "/api/analysis/again"): _json("POST", "/api/analysis/again", None),
    ("GET", "/api/analysis/progress"): _get("/api/analysis/progress"),
    ("DELETE", "/api/recordings/{utterance}"): _json("DELETE", f"/api/recordings/{UTTERANCE}", None),
    ("DELETE", "/api/sessions/{session}"): _json("DELETE", f"/api/sessions/{SESSION}", None),
    ("POST", "/api/me/forget"): _forget,
}
"""At the documented maximum of each; what deletes comes last."""


async def test_no_route_keeps_the_loop(served: Apart) -> None:
    routes = {(route.method, route.path) for route in routes_of(served.whole.app)}
    assert routes == set(CASES), "every route needs a case at its documented maximum"
    slow: dict[str, float] = {}
    async with httpx.AsyncClient(base_url=served.whole.url, timeout=120) as client:
        await client.get("/api/status")  # what is imported at the first request
        for (method, path), ask in CASES.items():
            served.pulse.reset()
            answer = await ask(client)
            assert answer is None or answer.status_code < 500, (method, path, answer.text[:300])
            await asyncio.sleep(0.03)
            if served.pulse.worst_ms > WORST_MS:
                slow[f"{method} {path}"] = round(served.pulse.worst_ms)
    assert not slow


def _event(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


_MARKS: Final = "," * 65_000
EVENTS: Final[dict[str, list[str]]] = {
    "session.update": [
        _event("session.update", session={"instructions": "好a!é" * 5_000}),
        _event(
            "session.update",
            session={
                "audio": {"input": {"transcription": {"keywords": ["詞" * 60] * 100}}},
                "x": [[]] * 20_000,
            },
        ),
        '{"type": "session.update", "session": {"x": [' + "[]," * 600_000 + "1]}}",
    ],
    "input_audio_buffer.append": [
        _event("input_audio_buffer.append", audio=b64(bytes((FRAME_LIMIT - 100) // 4 * 3 // 2 * 2))),
        _event("input_audio_buffer.append", audio="*" * (FRAME_LIMIT - 100)),
    ],
    "input_audio_buffer.commit": [_event("input_audio_buffer.commit", event_id=_MARKS)],
    "input_audio_buffer.clear": [_event("input_audio_buffer.clear", event_id=_MARKS)],
    "conversation.item.create": [
        _event(
            "conversation.item.create",
            item={
                "type": "message",
                "role": role,
                "content": [{"type": "output_text" if role == "assistant" else "input_text", "text": text}],
            },
        )
        for role in ("system", "assistant", "user")
        for text in ("好" * TEXT_LIMIT, "好" * TEXT_LIMIT, "a!" * 10_000, "a!" * 10_000, "!" * TEXT_LIMIT)
    ]
    + [
        _event(
            "conversation.item.create",
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "好"}] * 9_000,
            },
        )
    ],
    "conversation.item.retrieve": [_event("conversation.item.retrieve", item_id="x" * (FRAME_LIMIT - 100))],
    "conversation.item.delete": [_event("conversation.item.delete", item_id="x" * (FRAME_LIMIT - 100))],
    "conversation.item.truncate": [
        _event("conversation.item.truncate", item_id="x" * (FRAME_LIMIT - 100), audio_end_ms=2**60)
    ],
    "response.create": [
        _event("response.create", response={"metadata": {f"{n:064}": "v" * 512 for n in range(16)}}),
        _event("response.create", response={"metadata": {f"{n:064}": "v" * 512 for n in range(4000)}}),
        _event("response.create", response={"instructions": "好a!é" * 5_000}),
    ],
    "response.cancel": [_event("response.cancel", response_id="x" * (FRAME_LIMIT - 100))],
    "output_audio_buffer.clear": [_event("output_audio_buffer.clear", event_id="x" * (FRAME_LIMIT - 100))],
}
"""At the documented maximum of each, and a little beyond."""


async def test_no_client_event_keeps_the_loop(served: Apart) -> None:
    assert set(EVENTS) == CLIENT_EVENTS, "every client event needs a case at its documented maximum"
    slow: dict[str, float] = {}
    for kind, events in EVENTS.items():
        async with connect(
            served.whole.socket_url, max_size=None, max_queue=None, compression=None
        ) as socket:
            await socket.recv()
            for event in events:
                served.pulse.reset()
                await socket.send(event)
                await socket.send(_event("conversation.item.retrieve", item_id="none", event_id="answered"))
                async with asyncio.timeout(60):
                    while True:
                        told = json.loads(await socket.recv())
                        if told["type"] == "error" and told["error"]["event_id"] == "answered":
                            break
                await asyncio.sleep(0.03)
                if served.pulse.worst_ms > WORST_MS:
                    slow[f"{kind}: {event[:90]}"] = round(served.pulse.worst_ms)
    assert not slow


async def test_going_on_with_a_session_of_months_keeps_nobody(served: Apart) -> None:
    served.pulse.reset()
    async with connect(f"{served.whole.socket_url}?session={SESSION}") as socket:
        assert json.loads(await socket.recv())["type"] == "session.created"
        await socket.send(_event("response.create"))
        while json.loads(await socket.recv())["type"] != "response.done":
            pass
    assert served.pulse.worst_ms <= WORST_MS


async def test_pages_follow_each_other_without_a_gap(served: Apart) -> None:
    async with httpx.AsyncClient(base_url=f"{served.whole.url}/api/sessions/{SESSION}") as client:
        for path, name in (("utterances", "id"), ("analysis", "utterance")):
            found: list[str] = []
            more: dict[str, Any] = {}
            while True:
                body = (await client.get(path, params={"limit": 300, **more})).json()
                found += [one[name] for one in body["data"]]
                if not body["has_more"]:
                    break
                more = {"after": found[-1]}
            assert found == [f"utt_{SESSION}_{n:05}" for n in range(LONG)]
        turns = (await client.get("turns", params={"after": 1400})).json()
        assert ([one["turn"] for one in turns["data"]], turns["has_more"]) == (list(range(1401, 1501)), False)
        gone = await client.get("utterances", params={"after": "utt_gone"})
        assert gone.status_code == 404


async def test_the_analysis_of_a_page_is_that_of_the_whole(served: Apart) -> None:
    """What something is compared with does not depend on where its page begins."""
    async with httpx.AsyncClient(base_url=f"{served.whole.url}/api/sessions/{SESSION}") as client:
        first = (await client.get("analysis", params={"limit": 500})).json()["data"]
        after = first[249]["utterance"]
        page = (await client.get("analysis", params={"limit": 250, "after": after})).json()["data"]
    assert page == first[250:]
    assert page[-1]["scores"]["confidence"]["relative"]["utterances"] == 200
