"""``/api/voices`` as clients use it, on a real library behind a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import httpx
import pytest

from kuaimei.runtime import voice_training_state
from kuaimei.settings import Settings
from kuaimei.system.supervision import Supervisor
from kuaimei.voices.training.environment import background_install
from kuaimei.voices.training.environment.process import Making
from tests.support.server.app_server import InMemoryRuntime, quick_engines, serving
from tests.support.server.realtime_client import talking
from tests.support.voices.running_library import TEXT, RunningLibrary, audio, living

FIELDS = {"name": "媽媽", "consent_speaker": "王美美", "consent_statement": "可以"}


@asynccontextmanager
async def served(
    settings: Settings, **voices: Any
) -> AsyncIterator[tuple[RunningLibrary, httpx.AsyncClient]]:
    """The library behind a server, and a client of it."""
    async with living(settings, **{"learn": "none", **voices}) as runtime:
        context = runtime.library.context
        engines = quick_engines(synthesizer=runtime.bank)
        test_server = InMemoryRuntime(settings=context.settings, engines=engines, voices=runtime.library)
        async with (
            serving(test_server) as server,
            httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client,
        ):
            yield runtime, client


def upload(data: bytes | None = None, name: str = "mum.flac") -> dict[str, Any]:
    return {"file": (name, audio(2.0, 2.5, 3.0) if data is None else data, "application/octet-stream")}


def temporary() -> set[Path]:
    return set(Path(gettempdir()).glob("kuaimei-voice-*"))


async def test_added_listed_heard_changed_and_deleted(settings: Settings) -> None:
    before = temporary()
    async with served(settings) as (runtime, client):
        answer = await client.post("/api/voices", data=FIELDS, files=upload())
        assert answer.status_code == 201
        body = answer.json()
        assert body["object"] == "kuaimei.voice"
        assert (body["kind"], body["state"], body["label"]) == ("cloned", "preparing", "similar")
        voice = body["id"]
        await runtime.until(voice, lambda v: v.state == "ready")
        listed = (await client.get("/api/voices")).json()["data"]
        assert [(one["id"], one["kind"]) for one in listed] == [
            ("zf_one", "stock"),
            ("zm_two", "stock"),
            (voice, "cloned"),
        ]
        body = (await client.get(f"/api/voices/{voice}")).json()
        assert set(body) == {
            *("object", "id", "name", "kind", "language", "sample", "state", "stage", "error", "transcript"),
            *("duration_s", "created_at", "label", "checks", "pitch", "consent", "reference", "learning"),
            *("shared", "mine"),
        }
        assert (body["shared"], body["mine"]) == (False, True)
        assert body["consent"]["speaker"] == "王美美"
        assert body["transcript"] == TEXT
        assert body["learning"]["state"] == "done"
        assert set(body["checks"][0]) == {"check", "verdict", "value", "unit", "advice"}
        assert (await client.get("/api/voices/zf_one")).json()["kind"] == "stock"
        sample = await client.get(body["sample"])
        assert (sample.status_code, sample.headers["content-type"]) == (200, "audio/mpeg")
        reference = await client.get(body["reference"])
        assert reference.content[:4] == b"fLaC"
        part = await client.get(body["reference"], headers={"Range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, b"fLaC")
        assert [one["id"] for one in (await client.get("/api/status")).json()["voices"]] == [
            "zf_one",
            "zm_two",
        ]
        changed = await client.patch(f"/api/voices/{voice}", json={"name": "  阿 姨 ", "transcript": "今天"})
        assert (changed.json()["name"], changed.json()["transcript"]) == ("阿 姨", "今天")
        spoken = {"input": "你好", "voice": voice, "response_format": "pcm"}
        assert (await client.post("/v1/audio/speech", json=spoken)).status_code == 200
        assert runtime.bank.requests[-1].voice_id == voice
        assert (await client.delete(f"/api/voices/{voice}")).status_code == 204
        for path in (voice, f"{voice}/sample", f"{voice}/reference"):
            assert (await client.get(f"/api/voices/{path}")).status_code == 404
        assert (await client.delete(f"/api/voices/{voice}")).status_code == 404
        assert runtime.files() == []
        assert not list((settings.home / "cache").rglob("*.mp3"))
    assert temporary() == before


async def test_refused_with_all_checks_and_nothing_kept(settings: Settings) -> None:
    before = temporary()
    async with served(settings) as (runtime, client):
        answer = await client.post("/api/voices", data=FIELDS, files=upload(audio(1.0)))
        assert answer.status_code == 422
        error = answer.json()["error"]
        assert error["code"] == "reference_refused"
        assert error["checks"][0]["verdict"] == "refused"
        assert "3 秒" in error["checks"][0]["advice"]["zh"]
        pdf = await client.post("/api/voices", data=FIELDS, files=upload(b"%PDF-1.7 " * 300, "song.wav"))
        assert pdf.status_code == 400
        assert "audio format" in pdf.json()["error"]["message"]
        wrong = {**FIELDS, "transcript": "完全不一樣的另外一段話，跟錄音沒有關係。"}
        answer = await client.post("/api/voices", data=wrong, files=upload())
        assert answer.status_code == 422
        assert answer.json()["error"]["checks"][-1]["check"] == "transcript"
        assert runtime.files() == []
    assert temporary() == before


@pytest.mark.parametrize("missing", ["name", "consent_speaker", "consent_statement"])
async def test_without_a_name_or_consent_there_is_no_voice(settings: Settings, missing: str) -> None:
    async with served(settings) as (runtime, client):
        for given in ({}, {missing: " "}):
            fields = {name: text for name, text in FIELDS.items() if name != missing} | given
            answer = await client.post("/api/voices", data=fields, files=upload())
            assert answer.status_code == 400
            assert missing in answer.json()["error"]["message"]
        assert runtime.files() == []


async def test_an_upload_that_is_too_large_is_turned_away(settings: Settings) -> None:
    async with served(settings, max_upload_mb=1) as (_, client):
        answer = await client.post("/api/voices", data=FIELDS, files=upload(bytes(1_500_000)))
        assert answer.status_code == 413


@pytest.mark.parametrize(
    ("voices", "state", "detail"),
    [
        ({}, "ready", "is ready"),
        ({"python": "", "environment": "cpu"}, "unavailable", "kuaimei setup"),
        ({"python": "", "environment": "off"}, "off", "SLIM=1"),
        ({"python": "/nowhere"}, "unavailable", "KUAIMEI_VOICES__PYTHON"),
    ],
)
async def test_how_far_the_environment_for_learning_is(
    settings: Settings, voices: dict[str, str], state: str, detail: str
) -> None:
    async with served(settings, **voices) as (_, client):
        body = (await client.get("/api/voices/learning")).json()
    assert body.keys() == {"object", "state", "progress", "detail", "eta_s"}
    assert (body["object"], body["state"]) == ("kuaimei.learning_environment", state)
    assert detail in body["detail"]
    assert body["progress"] == (1.0 if state == "ready" else None)


async def test_while_the_environment_is_made_its_progress_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def make(*given: Any) -> str:
        given[-1](Making(0.25, "downloading packages", 8))
        begun.set()
        return await asyncio.Future[str]()

    monkeypatch.setattr(background_install, "run_making", make)
    async with (
        served(settings, python="", environment="cpu") as (runtime, client),
        voice_training_state(runtime.library, Supervisor(), after_s=0.0),
    ):
        await begun.wait()
        body = (await client.get("/api/voices/learning")).json()
        assert (body["state"], body["progress"]) == ("making", 0.25)
        assert "downloading packages" in body["detail"]
        assert body["eta_s"] is not None


async def test_learning_is_begun_and_stopped(settings: Settings) -> None:
    async with served(settings) as (runtime, client):
        runtime.order(style=[["progress", 0.4], ["hang", 0]])
        voice = await runtime.add()
        assert (await client.post(f"/api/voices/{voice.id}/learn", json={"step": "loud"})).status_code == 400
        begun = await client.post(f"/api/voices/{voice.id}/learn")
        assert begun.json()["learning"]["state"] == "waiting"
        await runtime.until(voice.id, lambda v: v.learning.progress == 0.4)
        body = (await client.get(f"/api/voices/{voice.id}")).json()
        assert body["learning"] == {
            "step": "style",
            "state": "running",
            "progress": 0.4,
            "similarity": 0.2,
            "eta_s": 10.0,
            "error": None,
            "reason": None,
        }
        stopped = await client.post(f"/api/voices/{voice.id}/learn/cancel")
        assert stopped.json()["learning"]["state"] == "cancelled"
        runtime.order(style=[["progress", 0.4], ["done", 0.5]])
        again = await client.post(f"/api/voices/{voice.id}/learn", json={"step": "style"})
        assert again.status_code == 200
        await runtime.until(voice.id, lambda v: v.learning.state == "done")
        done = await client.post(f"/api/voices/{voice.id}/learn", json={"step": "decoder"})
        assert done.json()["learning"]["step"] == "decoder"
        await runtime.until(voice.id, lambda v: v.learning.state == "done")
        assert (await client.post(f"/api/voices/{voice.id}/learn")).status_code == 409


async def test_a_session_that_is_open_can_use_a_voice_that_was_added_since(settings: Settings) -> None:
    async with living(settings, learn="none") as runtime:
        engines = quick_engines(synthesizer=runtime.bank)
        test_server = InMemoryRuntime(engines=engines, voices=runtime.library)
        async with serving(test_server) as server, talking(server) as talk:
            voice = await runtime.add()
            audio = {"output": {"voice": voice.id}}
            await talk.send("session.update", session={"type": "realtime", "audio": audio})
            updated = await talk.until("session.updated")
            assert updated["session"]["audio"]["output"]["voice"] == voice.id
            await talk.ask()
            await talk.until("response.done")
        assert {request.voice_id for request in runtime.bank.requests} == {voice.id}


async def test_its_sample_follows_what_it_learned(settings: Settings) -> None:
    async with served(settings) as (runtime, client):
        voice = await runtime.add()
        sample = f"/api/voices/{voice.id}/sample"
        await client.get(sample)
        asked = len(runtime.bank.requests)
        await client.get(sample)
        assert len(runtime.bank.requests) == asked
        await client.post(f"/api/voices/{voice.id}/learn", json={"step": "style"})
        await runtime.until(voice.id, lambda v: v.learning.state == "done")
        await client.get(sample)
        assert len(runtime.bank.requests) == asked + 1


async def test_what_to_declare_and_to_read_aloud(settings: Settings) -> None:
    async with served(settings) as (_, client):
        texts = (await client.get("/api/voices/texts")).json()
        assert set(texts["consent"]) == set(texts["read_aloud"]) == {"zh", "en"}


async def test_where_nothing_is_kept_there_are_only_stock_voices() -> None:
    async with (
        serving(InMemoryRuntime()) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
    ):
        listed = (await client.get("/api/voices")).json()["data"]
        assert {one["kind"] for one in listed} == {"stock"}
        answer = await client.post("/api/voices", data=FIELDS, files=upload(b"x"))
        assert answer.json()["error"]["code"] == "not_kept"
        assert (await client.get("/api/voices/voice_x")).status_code == 404
