"""Blind listening over HTTP: two clips, a judgement, and what they add up to."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.audio.encode import encode
from kuaimei.audio.loudness import speech_level
from kuaimei.audio.pcm import Pcm
from kuaimei.store.rows import Audio
from kuaimei.store.utterance_record import Tier
from tests.support.fakes import FakeSynthesizer
from tests.support.server.app_server import (
    InMemoryRuntime,
    MemoryArchive,
    Served,
    make_settings,
    quick_engines,
    serving,
)
from tests.support.server.belongings import OneLibrary
from tests.support.server.listening_tests import MemoryPreferences

REPLY = "utt_sess_a_1"
VOICES = ("zf_one", "zm_two", "af_three", "voice_mine", "voice_not")


def hiss(rate: int, seconds: float, loud: float) -> bytes:
    pcm = np.random.default_rng(0).normal(0, loud, int(rate * seconds))
    return encode(np.clip(pcm, -32768, 32767).astype(np.int16), rate, "flac")


class TwoTiers(MemoryArchive):
    """One reply in both tiers, of different loudness, length and rate."""

    files: dict[str, bytes]

    async def open_audio(
        self, utterance: str, start: int = 0, end: int | None = None, *, tier: Tier = "fast"
    ) -> Audio:
        await self.utterance(utterance)
        data = self.files[tier]

        async def chunks() -> AsyncIterator[bytes]:
            yield data[:1000]
            yield data[1000:]

        return Audio("audio/flac", len(data), 0, len(data), "ab" * 32, chunks())


def runtime(tmp_path: Path, *, rendered: bool = True, **engines: Any) -> InMemoryRuntime:
    archive = TwoTiers()
    archive.put("sess_a", "問題", "回答")
    archive.files = {"fast": hiss(24_000, 1.0, 800.0), "hq": hiss(48_000, 2.0, 5000.0)}
    if rendered:
        archive.preferences = MemoryPreferences(lambda owner: REPLY if owner == "local" else None)
    return InMemoryRuntime(
        settings=make_settings(home=tmp_path), engines=quick_engines(**engines), store=archive
    )


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(runtime(tmp_path)) as served:
        yield served


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
        yield client


def sound(answer: httpx.Response) -> tuple[Pcm, int]:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/flac"
    assert answer.headers["cache-control"] == "private, no-store"
    pcm, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    return pcm, rate


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_reply_is_compared_blind_and_then_told(served: Served, http: httpx.AsyncClient) -> None:
    trial = (await http.post("/api/listening/next")).json()
    assert trial == {
        "object": "kuaimei.listening.trial",
        "id": "trial_1",
        "kind": "tiers",
        "text": "回答",
        "a": "/api/listening/trial_1/a",
        "b": "/api/listening/trial_1/b",
    }
    (a, rate_a), (b, rate_b) = [sound(await http.get(trial[side])) for side in "ab"]
    assert rate_a == rate_b == 24_000
    level_a, level_b = speech_level(a, rate_a), speech_level(b, rate_b)
    assert level_a == pytest.approx(level_b, abs=0.3)  # 16 dB apart as they were kept
    judged = (await http.post("/api/listening/trial_1", json={"choice": "a", "remark": "自然"})).json()
    fine = "a" if len(a) > len(b) else "b"
    assert judged == {
        "object": "kuaimei.listening.judgement",
        "id": "trial_1",
        "kind": "tiers",
        "choice": "a",
        "preferred": "hq" if fine == "a" else "fast",
        "a": "hq" if fine == "a" else "fast",
        "b": "hq" if fine == "b" else "fast",
        "remark": "自然",
    }
    assert code(await http.post("/api/listening/trial_1", json={"choice": "b"})) == (409, "already_judged")


async def test_the_order_is_chance(served: Served, http: httpx.AsyncClient) -> None:
    assert served.runtime.store is not None
    for _ in range(24):
        await http.post("/api/listening/next")
    trials = served.runtime.store.preferences.trials.values()
    assert {trial.a for trial in trials} == {"hq", "fast"}  # all the same: once in eight million runs


async def test_voices_are_compared_where_no_reply_can_be(tmp_path: Path) -> None:
    synthesizer = FakeSynthesizer(
        delay_s=0.0, voices=("zf_one", "zm_two", "af_three", "voice_mine", "voice_not")
    )
    library = OneLibrary({"voice_mine"})  # the other is somebody else's
    async with (
        serving(runtime(tmp_path, rendered=False, synthesizer=synthesizer), voices=library) as served,
        httpx.AsyncClient(base_url=served.url, timeout=60) as http,
    ):
        assert served.runtime.store is not None
        assert code(await http.post("/api/listening/next", params={"kind": "tiers"})) == (
            404,
            "nothing_to_compare",
        )
        trial = (await http.post("/api/listening/next")).json()
        assert trial["kind"] == "voices"
        assert trial["text"].startswith("你好")
        for side in "ab":
            assert len(sound(await http.get(trial[side]))[0]) > 10_000
        assert {req.text for req in synthesizer.requests} == {trial["text"]}
        for _ in range(12):
            await http.post("/api/listening/next", params={"kind": "voices"})
        compared = served.runtime.store.preferences.trials.values()
        assert all("voice_mine" in (trial.first, trial.second) for trial in compared)
        assert not any("voice_not" in (trial.first, trial.second) for trial in compared)
        assert not any("af_three" in (trial.first, trial.second) for trial in compared)  # says something else
        asked = await http.post("/api/listening/next", params={"kind": "voices", "voice": "zm_two"})
        last = served.runtime.store.preferences.trials[asked.json()["id"]]
        assert "zm_two" in (last.first, last.second)
        for nobody in ("nobody", "voice_not"):
            refused = await http.post("/api/listening/next", params={"voice": nobody})
            assert code(refused) == (404, "not_found")
        synthesizer.voices = ("zf_one", "zm_two")  # deleted meanwhile
        gone = [await http.get(trial[side]) for side in "ab"]
        assert sorted(answer.status_code for answer in gone) == [200, 404]


async def test_a_single_voice_has_nothing_to_compare(tmp_path: Path) -> None:
    synthesizer = FakeSynthesizer(voices=("zf_one",))
    async with (
        serving(runtime(tmp_path, rendered=False, synthesizer=synthesizer)) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        assert code(await http.post("/api/listening/next")) == (404, "nothing_to_compare")


async def test_results_add_up(http: httpx.AsyncClient) -> None:
    empty = (await http.get("/api/listening/results")).json()
    assert empty == {"object": "kuaimei.listening.results", "judged": 0, "pairs": []}
    wanted = ["hq"] * 8 + ["fast"] * 2 + [None]
    for want in wanted:
        trial = (await http.post("/api/listening/next")).json()
        first = len(sound(await http.get(trial["a"]))[0]) > 30_000  # the hq clip is the longer one
        choice = "same" if want is None else "a" if (want == "hq") == first else "b"
        answer = await http.post(f"/api/listening/{trial['id']}", json={"choice": choice, "remark": "=1+1"})
        assert answer.json()["preferred"] == want
    found = (await http.get("/api/listening/results")).json()
    assert found["judged"] == 11
    (pair,) = found["pairs"]
    low, high = pair.pop("low"), pair.pop("high")
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert pair == {
        "kind": "tiers",
        "first": "hq",
        "second": "fast",
        "first_preferred": 8,
        "second_preferred": 2,
        "same": 1,
        "share": 0.8,
    }
    sheet = await http.get("/api/listening/results.csv")
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    assert "listening.csv" in sheet.headers["content-disposition"]
    lines = sheet.content.decode("utf-8-sig").splitlines()
    assert lines[0] == "id,kind,first,second,a,b,choice,preferred,remark,at"
    assert len(lines) == 12
    assert all(",'=1+1," in line for line in lines[1:])  # no formula for a spreadsheet
    assert (await http.delete("/api/listening/results")).status_code == 204
    assert (await http.get("/api/listening/results")).json()["judged"] == 0


async def test_only_what_makes_sense_is_taken(http: httpx.AsyncClient) -> None:
    trial = (await http.post("/api/listening/next")).json()
    path = f"/api/listening/{trial['id']}"
    for body in ({"choice": "c"}, {}, {"choice": "a", "remark": "x" * 501}, {"choice": "a", "more": 1}):
        assert code(await http.post(path, json=body)) == (400, "invalid_value")
    assert code(await http.post("/api/listening/next", params={"kind": "cats"})) == (400, "invalid_value")
    assert code(await http.get(f"{path}/c")) == (400, "invalid_value")
    assert code(await http.get("/api/listening/trial_none/a")) == (404, "not_found")
    assert code(await http.post("/api/listening/trial_none", json={"choice": "a"})) == (404, "not_found")


async def test_what_somebody_else_compares_is_nobodys_business(
    served: Served, http: httpx.AsyncClient
) -> None:
    assert served.runtime.store is not None
    theirs = await served.runtime.store.preferences.begin("else", "tiers", "hq", "fast", swapped=True)
    assert code(await http.get(f"/api/listening/{theirs.id}/a")) == (404, "not_found")
    assert code(await http.post(f"/api/listening/{theirs.id}", json={"choice": "a"})) == (404, "not_found")


async def test_looking_makes_no_comparison(http: httpx.AsyncClient) -> None:
    """A page of another site can have a browser look at addresses; what it looks at must change nothing."""
    assert (await http.get("/api/listening/next")).status_code == 405
