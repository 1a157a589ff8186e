"""Sessions, recordings, health, metrics, and what keeps strangers out, over HTTP."""

import io
import re
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from kuaimei.server.static_page import Page
from kuaimei.settings import IceServer
from kuaimei.store.deletions import Deletion, DeletionKind
from tests.support.fakes import FakeSynthesizer
from tests.support.server.app_server import (
    KEY,
    InMemoryRuntime,
    MemoryArchive,
    Served,
    eventually,
    make_settings,
    quick_engines,
    serving,
)
from tests.support.server.realtime_client import talking

SOUND = bytes(range(256)) * 20


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    archive = MemoryArchive()
    for n in range(3):
        archive.put(f"sess_{n}", f"第{n}個問題", "回答", sound=SOUND)
    archive.put("sess_else", "別人的", owner="somebody else")
    async with serving(InMemoryRuntime(store=archive)) as served:
        yield served


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url) as client:
        yield client


def code(answer: httpx.Response) -> tuple[int, str]:
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "code", "param"}
    return answer.status_code, error["code"]


async def test_sessions_are_listed_page_by_page(http: httpx.AsyncClient) -> None:
    first = (await http.get("/api/sessions", params={"limit": 2})).json()
    assert [s["id"] for s in first["data"]] == ["sess_2", "sess_1"]  # somebody else's takes no place
    assert first["has_more"]
    rest = (await http.get("/api/sessions", params={"before": "sess_1"})).json()
    assert [s["id"] for s in rest["data"]] == ["sess_0"]
    whole = (await http.get("/api/sessions", params={"limit": 3})).json()
    assert (len(whole["data"]), whole["has_more"]) == (3, False)
    found = (await http.get("/api/sessions", params={"search": "第1個"})).json()
    assert [s["title"] for s in found["data"]] == ["第1個問題"]
    assert code(await http.get("/api/sessions", params={"limit": 0})) == (400, "invalid_value")


async def test_a_session_is_read_and_deleted(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/sessions/sess_1")).json()["object"] == "kuaimei.session"
    said = (await http.get("/api/sessions/sess_1/utterances")).json()["data"]
    assert [u["transcript"] for u in said] == ["第1個問題", "回答"]
    for limit, more in ((1, True), (2, False)):
        for part in ("utterances", "analysis"):
            page = (await http.get(f"/api/sessions/sess_1/{part}", params={"limit": limit})).json()
            assert (len(page["data"]), page["has_more"]) == (limit, more)
    turns = (await http.get("/api/sessions/sess_1/turns")).json()["data"]
    assert turns[0]["timings"] == {"first_audio_ms": 900.0}
    assert (await http.get(said[0]["audio"])).content == SOUND
    assert (await http.delete(f"/api/recordings/{said[1]['id']}")).status_code == 204
    assert code(await http.get(f"/api/recordings/{said[1]['id']}")) == (404, "not_found")
    assert (await http.delete("/api/sessions/sess_1")).status_code == 204
    assert code(await http.get("/api/sessions/sess_1")) == (404, "not_found")
    for path in ("", "/utterances", "/turns", "/export"):
        assert code(await http.get(f"/api/sessions/sess_else{path}")) == (404, "not_found")
    assert code(await http.get("/api/recordings/utt_sess_else_0")) == (404, "not_found")
    assert code(await http.delete("/api/sessions/sess_else")) == (404, "not_found")


async def test_a_session_is_taken_along(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/sessions/sess_0/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="sess_0.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        assert file.testzip() is None
        assert "user: 第0個問題" in file.read("sess_0/transcript.txt").decode()
        sounds = [name for name in file.namelist() if name.endswith(".flac")]
        assert [file.read(name) for name in sounds] == [SOUND, SOUND]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=100-", 100, 5120),
        ("bytes=-20", 5100, 5120),
        ("bytes=5000-9999", 5000, 5120),
    ],
)
async def test_a_part_of_a_recording(http: httpx.AsyncClient, asked: str, start: int, end: int) -> None:
    answer = await http.get("/api/recordings/utt_sess_0_0/audio", headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/5120"
    assert answer.content == SOUND[start:end]


async def test_a_recording_as_browsers_ask_for_it(http: httpx.AsyncClient) -> None:
    path = "/api/recordings/utt_sess_0_0/audio"
    whole = await http.get(path, headers={"Range": "bytes=0-1,5-6"})
    assert (whole.status_code, whole.content) == (200, SOUND)
    assert whole.headers["content-type"] == "audio/flac"
    outside = await http.get(path, headers={"Range": "bytes=6000-"})
    assert code(outside) == (416, "range_not_satisfiable")
    assert outside.headers["content-range"] == "bytes */5120"
    known = await http.get(path, headers={"If-None-Match": whole.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


async def test_health_and_readiness(served: Served, http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz")).json() == {"status": "ok"}
    ready = await http.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_without_its_database_it_is_not_ready(served: Served, http: httpx.AsyncClient) -> None:
    assert served.runtime.store is not None
    served.runtime.store.away = True
    ready = await http.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["store"]) == (503, "unavailable")
    assert code(await http.get("/api/sessions")) == (503, "store")
    assert "kuaimei_store_up 0.0" in (await http.get("/metrics")).text


async def test_a_background_task_that_fails_is_told(served: Served, http: httpx.AsyncClient) -> None:
    async def fail() -> None:
        raise RuntimeError("秘密")

    tasks = served.runtime.tasks
    try:
        tasks.start("voices", fail)
        await eventually(lambda: "voices" in tasks.failing)
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["tasks"]) == (200, "degraded")
        assert ready.json()["failing"] == ["voices"]
        tasks.start("jobs", fail)
        await eventually(lambda: "jobs" in tasks.failing)
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["tasks"]) == (503, "unavailable")
        assert ready.json()["failing"] == ["jobs", "voices"]
        told = (await http.get("/metrics")).text
        assert re.search(r'kuaimei_task_failures_total\{task="voices"\} [1-9]', told)
    finally:
        await tasks.close()


async def test_a_deletion_that_goes_on_is_told_so_and_is_never_not_found(
    served: Served, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = served.runtime.store
    assert store is not None
    going_on: set[tuple[str, str]] = set()

    async def delete(kind: DeletionKind, subject: str) -> bool:
        going_on.add((kind, subject))
        store.kept.pop(subject, None)
        return False

    async def deletion(kind: DeletionKind, subject: str) -> Deletion | None:
        if (kind, subject) not in going_on:
            return None
        return Deletion(kind, subject, "local", "", (), datetime.now(UTC))

    monkeypatch.setattr(store, "delete_session", partial(delete, "session"))
    monkeypatch.setattr(store, "delete_utterance", partial(delete, "utterance"))
    monkeypatch.setattr(store, "deletion", deletion)
    for path in ("/api/recordings/utt_sess_1_0", "/api/sessions/sess_0"):
        for _ in range(2):
            answer = await http.delete(path)
            assert answer.status_code == 202
            assert answer.json() == {"object": "kuaimei.deletion", "state": "deleting"}
    assert code(await http.get("/api/sessions/sess_0"))[0] == 404
    assert code(await http.delete("/api/sessions/sess_none"))[0] == 404


async def test_metrics_tell_of_a_turn(served: Served, http: httpx.AsyncClient) -> None:
    async with talking(served) as talk:
        await talk.ask()
        await talk.until("kuaimei.turn.timing")
        text = (await http.get("/metrics")).text
    for line in (
        "kuaimei_turns_total 1.0",
        "kuaimei_endpoint_delay_seconds_count 1.0",
        "kuaimei_first_audio_seconds_count 1.0",
        "kuaimei_asr_rtf_count 1.0",
        "kuaimei_sessions 1.0",
        'kuaimei_queue_depth{lane="cores"} 0.0',
        'kuaimei_store_jobs{status="todo"} 2.0',
    ):
        assert line in text, line


async def test_nothing_kept() -> None:
    async with serving() as served, httpx.AsyncClient(base_url=served.url) as http:
        assert code(await http.get("/api/sessions")) == (404, "not_kept")
        assert (await http.get("/readyz")).json()["checks"]["store"] == "off"


async def test_every_failure_has_the_same_form(http: httpx.AsyncClient) -> None:
    assert code(await http.get("/nowhere")) == (404, "not_found")
    assert code(await http.get("/v1/audio/speech")) == (405, "method_not_allowed")
    broken = await http.post("/v1/audio/speech", content=b"{", headers={"content-type": "application/json"})
    assert code(broken) == (400, "invalid_value")
    assert code(await http.post("/v1/audio/transcriptions", data={"model": "kuaimei"})) == (
        400,
        "invalid_value",
    )


async def test_bodies_are_bounded() -> None:
    settings = make_settings(max_body_mb=1)
    async with (
        serving(InMemoryRuntime(settings=settings)) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        sound = b"\0" * (3 * 1024 * 1024)
        announced = await http.post("/v1/audio/transcriptions", files={"file": ("a.wav", sound)})
        assert code(announced) == (413, "content_too_large")

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(48):
                yield b"x" * 65536

        unannounced = await http.post(
            "/v1/chat/completions", content=endless(), headers={"content-type": "application/json"}
        )
        assert unannounced.status_code == 413
        assert (await http.get("/healthz")).status_code == 200


async def test_a_key_is_demanded(tmp_path: Path) -> None:
    settings = make_settings(key=KEY)
    async with (
        serving(InMemoryRuntime(settings=settings), Page(tmp_path)) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        for path in ("/v1/models", "/metrics", "/api/sessions", "/api/openapi.json", "/nowhere"):
            answer = await http.get(path)
            assert code(answer) == (401, "invalid_api_key")
            assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/healthz", "/readyz", "/"):
            assert (await http.get(path)).status_code == 200
        assert "whisper-small" not in (await http.get("/")).text
        http.headers["Authorization"] = f"Bearer {KEY}"
        assert (await http.get("/v1/models")).status_code == 200
        page = (await http.get("/")).text
        assert "whisper-small" in page
        assert "MIT" in page
        assert "secret" not in page  # the path of the weights is nobody's business


async def test_other_hosts_and_other_sites_are_refused(http: httpx.AsyncClient) -> None:
    rebound = await http.get("/healthz", headers={"Host": "rebound.example"})
    assert code(rebound) == (421, "host_not_allowed")
    for host in ("localhost:9", "127.0.0.1", "[::1]:8000", "192.168.1.7:8000"):
        assert (await http.get("/healthz", headers={"Host": host})).status_code == 200
    foreign = await http.post("/v1/chat/completions", headers={"Origin": "https://evil.example"}, json={})
    assert code(foreign) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in foreign.headers


async def test_a_session_is_named(http: httpx.AsyncClient) -> None:
    named = await http.patch("/api/sessions/sess_1", json={"title": "  家裡的\n晚餐 "})
    assert (named.status_code, named.json()["title"]) == (200, "家裡的 晚餐")
    assert (await http.get("/api/sessions/sess_1")).json()["title"] == "家裡的 晚餐"
    assert code(await http.patch("/api/sessions/sess_else", json={"title": "我的"})) == (404, "not_found")
    assert code(await http.patch("/api/sessions/sess_no", json={"title": "x"})) == (404, "not_found")
    assert code(await http.patch("/api/sessions/sess_1", json={"title": "長" * 201})) == (
        400,
        "invalid_value",
    )
    assert code(await http.patch("/api/sessions/sess_1", json={})) == (400, "invalid_value")


async def test_the_status_tells_how_to_talk_and_no_secret(tmp_path: Path) -> None:
    turn = IceServer(urls=("turn:turn.example:3478",), secret=SecretStr("shared-with-turn"))
    settings = make_settings(key=KEY, max_sessions=3, max_waiting=5, ice_servers=(turn,))
    async with (
        serving(InMemoryRuntime(settings=settings), Page(tmp_path)) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        assert code(await http.get("/api/status")) == (401, "invalid_api_key")
        http.headers["Authorization"] = f"Bearer {KEY}"
        async with talking(served, additional_headers={"Authorization": f"Bearer {KEY}"}):
            answer = await http.get("/api/status")
        status = answer.json()
        assert (status["object"], status["status"]) == ("kuaimei.status", "ready")
        assert status["sessions"] == {"open": 1, "capacity": 3, "waiting": 0, "max_waiting": 5}
        (server,) = status["transports"]["webrtc"]["ice_servers"]
        assert server["urls"] == ["turn:turn.example:3478"]
        assert server["username"].endswith(":local")
        assert [voice["id"] for voice in status["voices"]] == ["fake_one", "fake_two"]
        assert status["voice"] == "fake_one"
        assert {"role": "asr", "name": "whisper-small", "licence": "MIT"} in status["models"]
        for secret in (KEY, "shared-with-turn", "somewhere", str(settings.home)):
            assert secret not in answer.text


async def test_voices_and_how_they_sound(tmp_path: Path) -> None:
    runtime = InMemoryRuntime(
        settings=make_settings(home=tmp_path),
        engines=quick_engines(synthesizer=FakeSynthesizer(delay_s=0.0, voices=("zf_one", "af_two"))),
    )
    async with serving(runtime) as served, httpx.AsyncClient(base_url=served.url) as http:
        voices = (await http.get("/api/voices")).json()["data"]
        assert [(v["id"], v["language"]) for v in voices] == [("zf_one", "zh"), ("af_two", "en")]
        for voice in voices:
            sample = await http.get(voice["sample"])
            assert (sample.status_code, sample.headers["content-type"]) == (200, "audio/mpeg")
            assert (await http.get(voice["sample"])).content == sample.content
        synthesizer = runtime.engines.synthesizer
        assert isinstance(synthesizer, FakeSynthesizer)
        assert [r.voice_id for r in synthesizer.requests] == ["zf_one", "af_two"]
        assert [r.text.isascii() for r in synthesizer.requests] == [False, True]
        assert code(await http.get("/api/voices/nobody/sample")) == (404, "not_found")
        assert code(await http.get("/api/voices/..%2Fetc/sample")) == (404, "not_found")


async def test_the_page_needs_no_key_but_what_it_asks_for_does(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "assets" / "a.js").write_text("1")
    settings = make_settings(key=KEY)
    async with (
        serving(InMemoryRuntime(settings=settings), Page(tmp_path)) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        for path in ("/", "/assets/a.js"):
            answer = await http.get(path)
            assert answer.status_code == 200
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        for path in ("/assets/", "/assets/b.js", "/index.html", "/api/status"):
            assert code(await http.get(path)) == (401, "invalid_api_key")
        http.headers["Authorization"] = f"Bearer {KEY}"
        assert code(await http.get("/assets/b.js")) == (404, "not_found")
        rebound = await http.get("/", headers={"Host": "rebound.example"})
        assert code(rebound) == (421, "host_not_allowed")


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": [{"role": "system", "content": "!" * 65_537}]},
        {"messages": [{"role": "user", "content": "!" * 1000}] * 66},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * 1001}]},
        {"messages": [{"role": "user", "content": "x"}], "stop": ["a"] * 5},
        {"messages": [{"role": "user", "content": "x"}], "stop": "a" * 65},
    ],
)
async def test_a_chat_request_has_its_limits(http: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    assert code(await http.post("/v1/chat/completions", json=wrong)) == (400, "invalid_value")


async def test_of_a_mistake_the_field_is_told_and_no_type_that_was_tried(http: httpx.AsyncClient) -> None:
    wrong = {"messages": [{"role": "user", "content": "a\x00"}]}
    error = (await http.post("/v1/chat/completions", json=wrong)).json()["error"]
    assert error["param"] == "messages.0.content"
    assert error["message"].startswith("messages.0.content: the text contains a NUL character")


async def test_the_limits_are_told(http: httpx.AsyncClient) -> None:
    limits = (await http.get("/api/status")).json()["limits"]
    assert limits["chat_characters"] == limits["conversation_characters"] == 65_536
    assert limits["instructions_tokens"] == (4096 - 160 - 64) // 2
    assert limits["utterance_s"] == 600.0
