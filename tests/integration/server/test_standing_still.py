"""Nobody keeps the event loop for long: every route and every client event at its documented maximum."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import httpx
import pytest

from kuaimei.settings import AnalysisSettings, Settings
from tests.integration.server.whole import Apart, apart, fill
from tests.integration.voices.living import audio
from tests.routes import routes_of

WORST_MS: Final = 50.0
SESSION: Final = "sess_long"
UTTERANCE: Final = f"utt_{SESSION}_00000"

Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response | None]]


@pytest.fixture
def served(settings: Settings) -> Iterator[Apart]:
    analysis = AnalysisSettings(enabled=True)
    with apart(settings.model_copy(update={"analysis": analysis})) as served:
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
    ("GET", "/api/voices/texts"): _get("/api/voices/texts"),
    ("POST", "/api/voices"): _upload,
    ("GET", "/api/voices/{voice}"): _get("/api/voices/zf_one"),
    ("PATCH", "/api/voices/{voice}"): _json("PATCH", "/api/voices/x", {"name": "x" * 80}),
    ("POST", "/api/voices/{voice}/learn"): _json("POST", "/api/voices/x/learn", {}),
    ("POST", "/api/voices/{voice}/learn/cancel"): _json("POST", "/api/voices/x/learn/cancel", None),
    ("GET", "/api/voices/{voice}/reference"): _get("/api/voices/x/reference"),
    ("GET", "/api/voices/{voice}/sample"): _get("/api/voices/zf_one/sample"),
    ("DELETE", "/api/voices/{voice}"): _json("DELETE", "/api/voices/x", None),
    ("GET", "/api/listening/next"): _get("/api/listening/next"),
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
