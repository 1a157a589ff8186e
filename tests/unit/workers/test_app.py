import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import from_bytes
from kuaimei.settings import ServerSettings, Settings
from kuaimei.workers.app import create_worker
from kuaimei.workers.reference_store import ReferenceStore
from kuaimei.workers.types import Options
from kuaimei.workers.worker import ModelHost
from tests.support.tone_engine import RATE, Tone

HALF = RATE // 100


def voice_file(seconds: float = 2.0, fmt: str = "flac") -> bytes:
    time = np.arange(int(seconds * 24_000)) / 24_000
    return encode((8000 * np.sin(2 * np.pi * 150 * time)).astype(np.int16), 24_000, fmt)


@asynccontextmanager
async def served(
    tone: Tone, folder: Path, server: ServerSettings | None = None, **card: Any
) -> AsyncIterator[httpx.AsyncClient]:
    worker = ModelHost(tone.card(**card), Options(Settings(home=folder)))
    app = create_worker(worker, ReferenceStore(folder), server or ServerSettings())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        yield client
    await worker.close()


async def speak(client: httpx.AsyncClient, **asked: Any) -> httpx.Response:
    return await client.post("/v1/audio/speech", json={"input": "你好嗎", "response_format": "pcm", **asked})


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_it_speaks_in_its_own_voice_loaded_on_demand(tmp_path: Path) -> None:
    tone = Tone()
    async with served(tone, tmp_path) as client:
        assert (await client.get("/healthz")).json()["status"] == "unloaded"
        assert [m["id"] for m in (await client.get("/v1/models")).json()["data"]] == ["tone"]
        answer = await speak(client, voice="two", speed=1.5, model="tone")
        assert (answer.status_code, len(from_bytes(answer.content))) == (200, 3 * HALF)
        health = (await client.get("/healthz")).json()
        assert (health["status"], health["modes"]["fast"]["state"]) == ("ready", "ready")
        assert (await speak(client, mode="hq", stream=False, response_format="wav")).content[:4] == b"RIFF"
        voices = (await client.get("/v1/voices")).json()["data"]
        assert [voice["id"] for voice in voices] == ["one", "two"]
    assert [(asked.voice, asked.speed, asked.reference) for asked in tone.asked] == [
        ("two", 1.5, None),
        ("", 1.0, None),
    ]
    assert (tone.opened, tone.closed, tone.left_early) == (1, 1, 0)


async def test_it_speaks_in_a_voice_that_was_lent(tmp_path: Path) -> None:
    tone = Tone(voices=())
    async with served(tone, tmp_path) as client:
        assert code(await speak(client)) == (400, "voice_missing")
        lent = await client.post("/v1/voices", files={"file": voice_file()}, data={"transcript": "你好。"})
        assert lent.status_code == 201
        name = lent.json()["id"]
        again = await client.post("/v1/voices", files={"file": voice_file()}, data={"transcript": "你好。"})
        assert again.json()["id"] == name
        assert (await speak(client, voice={"id": name})).status_code == 200
        url = "data:audio/flac;base64," + base64.b64encode(voice_file()).decode()
        assert (await speak(client, voice=url, transcript="你好。")).status_code == 200
        deleted = await client.delete(f"/v1/voices/{name}")
        assert deleted.json()["deleted"] is True
        assert code(await speak(client, voice=name)) == (404, "voice_not_found")
    used = [asked.reference for asked in tone.asked]
    assert [reference.transcript for reference in used if reference is not None] == ["你好。", "你好。"]
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"model": "other"}, (404, "model_not_found")),
        ({"voice": "three"}, (400, "voice_not_found")),
        ({"instructions": "sadly"}, (400, "instructions_unsupported")),
        ({"voice": "data:audio/wav;base64,???", "transcript": "x"}, (400, "invalid_value")),
        ({"voice": "data:audio/wav,abc", "transcript": "x"}, (400, "invalid_value")),
        ({"voice": "data:audio/wav;base64,aGVsbG8=", "transcript": "x"}, (400, "audio")),
        ({"voice": "data:audio/wav;base64,aGVsbG8="}, (400, "transcript_missing")),
        ({"input": ""}, (400, "invalid_value")),
        ({"speed": 9}, (400, "invalid_value")),
        ({"input": "oh!"}, None),
    ],
)
async def test_what_cannot_be_done_is_told(tmp_path: Path, asked: dict[str, Any], told: Any) -> None:
    async with served(Tone(), tmp_path) as client:
        if told is None:  # after the first piece the connection breaks off: nothing pretends to be whole
            with pytest.raises(Exception, match="response already started"):
                await speak(client, **asked)
            answer = await speak(client, **asked, stream=False)
            assert code(answer) == (502, "engine")
        else:
            assert code(await speak(client, **asked)) == told
        assert (await speak(client)).status_code == 200


async def test_a_short_or_endless_reference_is_refused(tmp_path: Path) -> None:
    async with served(Tone(), tmp_path, transcript=False) as client:
        for seconds in (0.5, 61.0):
            answer = await client.post("/v1/voices", files={"file": voice_file(seconds, "wav")})
            assert code(answer) == (400, "audio")
        large = await client.post("/v1/voices", files={"file": b"0" * (26 << 20)})
        assert large.status_code == 413
    assert files(tmp_path) == []


async def test_an_engine_without_references_says_so(tmp_path: Path) -> None:
    async with served(Tone(), tmp_path, references=False) as client:
        answer = await client.post("/v1/voices", files={"file": voice_file()})
        assert code(answer) == (400, "references_unsupported")


async def test_an_engine_with_one_pace_says_so(tmp_path: Path) -> None:
    async with served(Tone(), tmp_path, speed=False) as client:
        assert code(await speak(client, speed=1.2)) == (400, "speed_unsupported")
        assert (await speak(client, speed=1.0)).status_code == 200


async def test_loading_is_watched_and_undone(tmp_path: Path) -> None:
    tone = Tone()
    tone.gate.clear()
    async with served(tone, tmp_path) as client:
        loading = asyncio.ensure_future(client.post("/v1/load", json={"mode": "fast"}))
        await asyncio.to_thread(tone.opening.wait)
        health = (await client.get("/healthz")).json()
        assert health["status"] == "loading"
        assert health["modes"]["fast"]["stage"] == "weights"
        tone.gate.set()
        assert (await loading).json()["status"] == "ready"
        tone.gate.clear()
        speaking = asyncio.ensure_future(speak(client))
        await asyncio.to_thread(tone.begun.wait)
        assert code(await client.post("/v1/unload")) == (409, "in_use")
        tone.gate.set()
        await speaking
        assert (await client.post("/v1/unload")).json()["status"] == "unloaded"
        assert tone.closed == 1
        assert (await client.post("/v1/load")).status_code == 200
    assert tone.opened == 2


async def test_an_engine_that_cannot_be_loaded_says_why_and_is_tried_again(tmp_path: Path) -> None:
    tone = Tone(damaged=True)
    async with served(tone, tmp_path) as client:
        assert code(await speak(client)) == (500, "weights")
        health = await client.get("/healthz")
        assert health.status_code == 503
        assert health.json()["modes"]["fast"]["error"] == "the tone is damaged"
        tone.damaged = False
        assert (await speak(client)).status_code == 200


async def test_a_key_is_asked_for(tmp_path: Path) -> None:
    server = ServerSettings(api_key="a-key-of-some-length")
    async with served(Tone(), tmp_path, server) as client:
        # A stranger is told that it runs, and nothing of what runs or what went wrong with it.
        assert (await client.get("/healthz")).json() == {"status": "unloaded"}
        assert (await speak(client)).status_code == 401
        client.headers["Authorization"] = "Bearer a-key-of-some-length"
        assert (await speak(client)).status_code == 200
        client.headers["Host"] = "rebound.example"
        assert (await speak(client)).status_code == 421
