"""The two renderings of a reply, over HTTP and to the client that is connected."""

import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from kuaimei.rendering.broadcast import Ready
from kuaimei.rendering.hq_tier import HqTier
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.store.rows import Audio, Boundary, Rendering
from kuaimei.store.utterance_record import Tier
from tests.support.server.app_server import InMemoryRuntime, MemoryArchive, Served, serving
from tests.support.server.realtime_client import talking

FAST, FINE = b"fast" * 300, b"fine" * 400
CLAUSES = (Boundary(0, 0.0, 700.0), Boundary(1, 700.0, 1900.5))


def rendering(**changed: Any) -> Rendering:
    done = Rendering("ready", "zf_a", "kokoro r1", 1900.5, 24_000, len(FINE), "cd" * 32, CLAUSES, None)
    return replace(done, **changed)


@dataclass
class TwoTiers(MemoryArchive):
    """Some replies have a second rendering."""

    fine: dict[str, bytes] = field(default_factory=dict)

    def render(self, session: str, place: int, hq: Rendering) -> str:
        said = self.said[session]
        said[place] = replace(said[place], hq=hq)
        if hq.bytes:
            self.fine[said[place].id] = FINE
        return said[place].id

    async def open_audio(
        self, utterance: str, start: int = 0, end: int | None = None, *, tier: Tier = "fast"
    ) -> Audio:
        if tier == "fast":
            return await super().open_audio(utterance, start, end)
        data = self.fine[utterance][start:end]

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        return Audio("audio/flac", len(FINE), start, start + len(data), "cd" * 32, chunks())


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    archive = TwoTiers()
    archive.put("sess_a", "問一", "答一", "問二", "答二", "問三", "答三", sound=FAST)
    archive.render("sess_a", 1, rendering())
    waiting = rendering(state="queued", bytes=None, sha256=None, engine="", duration_ms=None, clauses=())
    archive.render("sess_a", 3, waiting)
    archive.put("sess_else", "別人", "的", sound=FAST, owner="key_of_somebody_else")
    archive.render("sess_else", 1, rendering())
    async with serving(InMemoryRuntime(store=archive, hq=HqTier(ModelCache(1000.0)))) as found:
        yield found


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url) as client:
        yield client


async def test_a_reply_says_how_far_its_second_rendering_is(http: httpx.AsyncClient) -> None:
    said = (await http.get("/api/sessions/sess_a/utterances")).json()["data"]
    question, ready, queued, never = said[0], said[1], said[3], said[5]
    assert ready["hq"] == {
        "state": "ready",
        "audio": "/api/recordings/utt_sess_a_1/audio?tier=hq",
        "duration_ms": 1900.5,
        "clauses": [
            {"index": 0, "start_ms": 0.0, "end_ms": 700.0},
            {"index": 1, "start_ms": 700.0, "end_ms": 1900.5},
        ],
        "voice": "zf_a",
        "engine": "kokoro r1",
        "error": None,
    }
    assert (queued["hq"]["state"], queued["hq"]["audio"], queued["hq"]["engine"]) == ("queued", None, None)
    assert (question["hq"], never["hq"]) == (None, None)
    assert (await http.get("/api/recordings/utt_sess_a_1")).json() == ready
    assert (await http.get("/api/status")).json()["hq"] is True


async def test_both_renderings_can_be_heard_also_in_parts(http: httpx.AsyncClient) -> None:
    path = "/api/recordings/utt_sess_a_1/audio"
    assert (await http.get(path)).content == FAST
    assert (await http.get(f"{path}?tier=fast")).content == FAST
    fine = await http.get(f"{path}?tier=hq")
    assert (fine.content, fine.headers["content-type"]) == (FINE, "audio/flac")
    assert fine.headers["etag"] != (await http.get(path)).headers["etag"]
    part = await http.get(f"{path}?tier=hq", headers={"Range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, FINE[4:12])
    assert part.headers["content-range"] == f"bytes 4-11/{len(FINE)}"
    known = await http.get(f"{path}?tier=hq", headers={"If-None-Match": fine.headers["etag"]})
    assert known.status_code == 304


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("utt_sess_a_3/audio?tier=hq", 404),  # not ready
        ("utt_sess_a_5/audio?tier=hq", 404),  # never asked for
        ("utt_sess_a_0/audio?tier=hq", 404),  # the user's own words
        ("utt_sess_else_1/audio?tier=hq", 404),  # somebody else's
        ("utt_sess_a_1/audio?tier=best", 422),
    ],
)
async def test_what_is_not_there_is_told(http: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await http.get(f"/api/recordings/{path}")
    assert answer.status_code in {status, 400} if status == 422 else answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_both_renderings_are_taken_along(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/sessions/sess_a/export")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        assert file.testzip() is None
        names = [name.removeprefix("sess_a/") for name in file.namelist()]
        assert "0001_assistant_utt_sess_a_1.flac" in names
        assert file.read("sess_a/0001_assistant_utt_sess_a_1.hq.flac") == FINE
        assert [name for name in names if name.endswith(".hq.flac")] == [
            "0001_assistant_utt_sess_a_1.hq.flac"
        ]


async def test_a_reply_can_be_rendered_again(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/recordings/utt_sess_a_1/hq")
    assert (answer.status_code, answer.json()["id"]) == (202, "utt_sess_a_1")
    assert (await http.post("/api/recordings/utt_sess_a_0/hq")).status_code == 404
    assert (await http.post("/api/recordings/utt_sess_else_1/hq")).status_code == 404
    archive = TwoTiers()
    archive.put("sess_a", "問", "答", sound=FAST)
    async with (
        serving(InMemoryRuntime(store=archive)) as plain,
        httpx.AsyncClient(base_url=plain.url) as client,
    ):
        refused = await client.post("/api/recordings/utt_sess_a_1/hq")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "one_tier")
        assert (await client.get("/api/status")).json()["hq"] is False


async def test_the_client_hears_of_it_and_nobody_else_does(served: Served) -> None:
    hq = served.runtime.hq
    assert hq is not None
    async with talking(served) as talk, talking(served) as other:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "你好"}]}
        await talk.send("conversation.item.create", item=item)
        await talk.send("response.create")
        done = (await talk.until("response.done"))["response"]
        session = talk.events[0]["session"]["id"]
        hq.announcements.publish(Ready(session, 1, "utt_x", rendering()))
        told = await talk.until("kuaimei.reply.hq_ready")
        assert (told["response_id"], told["item_id"]) == (done["id"], done["output"][0]["id"])
        assert told["audio"] == "/api/recordings/utt_x/audio?tier=hq"
        await other.send("input_audio_buffer.clear")
        await other.until("input_audio_buffer.cleared")
        assert "kuaimei.reply.hq_ready" not in [event["type"] for event in other.events]
    hq.announcements.publish(Ready(session, 2, "utt_y", rendering()))  # nobody is there any more


async def test_the_second_tier_is_measured(served: Served, http: httpx.AsyncClient) -> None:
    hq = served.runtime.hq
    assert hq is not None
    hq.counts.ready, hq.counts.render_s = 3, 7.5
    text = (await http.get("/metrics")).text
    assert 'kuaimei_hq_replies_total{outcome="ready"} 3.0' in text
    assert "kuaimei_hq_render_seconds_total 7.5" in text
    assert "kuaimei_models_loaded_total 0.0" in text
    assert "kuaimei_models_memory_bytes 0.0" in text
