"""What the server tells of how people spoke, from a real store in which everything was analysed."""

import asyncio
import csv
import io
import json
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, cast

import pytest
from httpx import AsyncClient, Response
from websockets.exceptions import ConnectionClosed

from kuaimei.analysis.head import FEATURES
from kuaimei.analysis.job import Scored
from kuaimei.analysis.service import AnalysisService
from kuaimei.analysis.types import SCORES
from kuaimei.dialogue.events import UserText
from kuaimei.settings import AnalysisSettings, Settings
from kuaimei.store import Store, UtteranceRow, open_store
from kuaimei.store.rows import Summary
from kuaimei.store.tables import analyses
from tests.support.server.app_server import InMemoryRuntime, MemoryArchive, Served, serving
from tests.support.server.realtime_client import talking
from tests.support.store.analysing import analysing, voice
from tests.support.store.talking import eventually, now, take_turn


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With analysis."""
    return settings.model_copy(update={"analysis": AnalysisSettings()})


@dataclass
class Open:
    """A server whose server analyses."""

    store: Store
    room: AnalysisService
    served: Served
    client: AsyncClient

    async def get(self, path: str, status: int = 200) -> Any:
        response = await self.client.get(path)
        assert response.status_code == status, response.text
        return response.json()

    async def post(self, path: str, status: int = 200, **body: Any) -> Any:
        response: Response = await self.client.post(path, json=body)
        assert response.status_code == status, response.text
        return response.json()

    async def said(
        self,
        session: str,
        turns: int,
        text: str = "今天的天氣真的很不錯",
        owner: str = "local",
        **client: str,
    ) -> list[str]:
        """Ids of the user's side of so many turns, all analysed."""
        await self.store.ensure_session(session, {**client}, owner=owner)
        recorder = self.store.recorder(session, voice="zf_a")
        for turn in range(1, turns + 1):
            take_turn(
                recorder, turn, text, voice(1.2 + turn / 10), "好的，沒問題。", voice(1.6, 220.0, 24_000)
            )
        recorder(UserText(turns + 1, now(), "=打字"))
        await recorder.close()

        async def analysed() -> bool:
            return all(u.analysis is not None for u in await self.store.utterances(session))

        await eventually(analysed)
        found: Sequence[UtteranceRow] = await self.store.utterances(session)
        return [u.id for u in found if u.speaker == "user" and u.bytes]


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Open]:
    async with open_store(settings) as store, analysing(store, settings) as room:
        runtime = InMemoryRuntime(store=cast(MemoryArchive, store), analysis=room)
        async with serving(runtime) as served, AsyncClient(base_url=served.url, timeout=30) as client:
            yield Open(store, room, served, client)


async def test_one_utterance_is_explained(settings: Settings) -> None:
    async with opened(settings) as runtime:
        ids = await runtime.said("sess_a", 6, person="anna")
        told = await runtime.get(f"/api/recordings/{ids[-1]}/analysis")
        assert (told["object"], told["utterance"]) == ("kuaimei.analysis", ids[-1])
        assert (told["state"], told["reason"], told["why"]) == ("scored", None, None)
        assert told["extractor"].startswith("own-")
        assert set(told["features"]) <= set(FEATURES)
        assert told["contours"]["frame_ms"] == 10.0
        assert len(told["contours"]["f0_hz"]) == 180
        ((start_ms, end_ms),) = told["contours"]["pauses"]
        assert 0 < start_ms < 900 < end_ms < 1800
        earlier = [await runtime.get(f"/api/recordings/{one}/analysis") for one in ids[:-1]]
        for name in SCORES:
            score = told["scores"][name]
            assert 0 < score["value"] < 1
            for part in score["contributions"]:
                assert part["value"] == pytest.approx(told["features"][part["feature"]])
            usual = median(one["scores"][name]["value"] for one in earlier)
            assert score["relative"]["utterances"] == 5
            assert score["relative"]["usual"] == pytest.approx(usual)
            assert score["relative"]["difference"] == pytest.approx(score["value"] - usual)
        assert all(one["scores"]["confidence"]["relative"] is None for one in earlier)
        body = await runtime.get(f"/api/recordings/{ids[-1]}")
        assert body["analysis"]["confidence"] == told["scores"]["confidence"]["value"]
        (typed,) = [u.id for u in await runtime.store.utterances("sess_a") if not u.bytes]
        told = await runtime.get(f"/api/recordings/{typed}/analysis")
        assert (told["state"], told["reason"], told["scores"]) == ("unscored", "no_audio", None)
        assert "recording" in told["why"]


async def test_nobody_hears_of_what_is_somebody_elses(settings: Settings) -> None:
    async with opened(settings) as runtime:
        you = await runtime.store.people.add("you")
        ids = await runtime.said("sess_b", 1, owner=you.id, person="anna")
        await runtime.get(f"/api/recordings/{ids[0]}/analysis", 404)
        await runtime.get("/api/sessions/sess_b/analysis", 404)
        await runtime.post(f"/api/labelling/{ids[0]}", 404, confidence=3, rater="我")
        await runtime.get("/api/labelling/next?rater=我", 404)
        assert (await runtime.get("/api/analysis/progress"))["utterances"] == 0
        assert (await runtime.post("/api/analysis/again", 202))["utterances"] == 0
        assert "utt_" not in (await runtime.client.get("/api/labelling/labels.csv")).text


async def test_a_session_is_listed_and_taken_along(settings: Settings) -> None:
    async with opened(settings) as runtime:
        await runtime.said("sess_a", 3, person="anna")
        ids = await runtime.said("sess_b", 3, text="=1+1 今天的天氣真的很不錯", person="anna")
        told = await runtime.get("/api/sessions/sess_b/analysis")
        order = [u.id for u in await runtime.store.utterances("sess_b")]
        assert [one["utterance"] for one in told["data"]] == order
        assert [one["state"] for one in told["data"]] == ["scored"] * 6 + ["unscored"]
        assert all("contours" not in one for one in told["data"])
        spoken = {one["utterance"]: one for one in told["data"]}
        relative = [spoken[one]["scores"]["stability"]["relative"] for one in ids]
        assert [one and one["utterances"] for one in relative] == [None, None, 5]
        single = await runtime.get(f"/api/recordings/{ids[-1]}/analysis")
        assert single["scores"] == spoken[ids[-1]]["scores"]
        assert told["usual_utterances"] == 6
        values = [spoken[one]["scores"]["stability"]["value"] for one in ids]
        first = await runtime.get("/api/sessions/sess_a/analysis")
        values += [
            one["scores"]["stability"]["value"]
            for one in first["data"]
            if one["speaker"] == "user" and one["scores"]
        ]
        assert told["usual"]["stability"] == pytest.approx(median(values))

        sheet = await runtime.client.get("/api/sessions/sess_b/analysis?format=csv")
        assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(sheet.text.removeprefix("\ufeff"))))
        assert [row["utterance"] for row in rows] == order
        assert rows[0]["transcript"] == "'=1+1 今天的天氣真的很不錯"
        for row, one in zip(rows, told["data"], strict=True):
            for name in FEATURES:
                value = one["features"].get(name)
                assert row[name] == ("" if value is None else str(value))
        assert float(rows[0]["confidence"]) == spoken[order[0]]["scores"]["confidence"]["value"]
        assert (rows[-1]["reason"], rows[-1]["confidence"]) == ("no_audio", "")

        packed = await runtime.client.get("/api/sessions/sess_b/export")
        with zipfile.ZipFile(io.BytesIO(packed.content)) as file:
            assert file.read("sess_b/analysis.csv").decode() == sheet.text
            kept = json.loads(file.read("sess_b/analysis.json"))
        assert [one["scores"] for one in kept] == [one["scores"] for one in told["data"]]
        assert len(kept[0]["contours"]["f0_hz"]) == 130


async def test_what_waits_is_said_to_wait_and_all_of_it_can_be_done_again(settings: Settings) -> None:
    async with opened(settings) as runtime:
        (one,) = await runtime.said("sess_a", 1)
        before = await runtime.get(f"/api/recordings/{one}/analysis")
        assert (await runtime.get("/api/analysis/progress"))["analysed"] == 3
        assert (await runtime.post("/api/analysis/again", 202))["utterances"] == 3

        async def anew() -> bool:
            told = await runtime.get(f"/api/recordings/{one}/analysis")
            return bool(told["analysed_at"] > before["analysed_at"])

        await eventually(anew)
        metrics = (await runtime.client.get("/metrics")).text
        lines = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
        assert float(lines['kuaimei_analyses_total{outcome="scored"}']) >= 3
        assert float(lines['kuaimei_analyses_total{outcome="no_audio"}']) >= 1
        assert float(lines["kuaimei_analysis_audio_seconds_total"]) > 2
        assert float(lines["kuaimei_analysis_computing_seconds_total"]) > 0
        assert float(lines["kuaimei_analysis_waiting"]) >= 0
        recorder = runtime.store.recorder("sess_c")
        recorder(UserText(1, now(), "還沒"))
        await recorder.close()
        (typed,) = await runtime.store.utterances("sess_c")
        await eventually_analysed(runtime, typed.id)
        async with runtime.store._database.begin() as connection:
            await connection.execute(analyses.delete().where(analyses.c.utterance_id == typed.id))
        told = await runtime.get(f"/api/recordings/{typed.id}/analysis")
        assert (told["state"], told["scores"], told["contours"]) == ("waiting", None, None)
        assert (await runtime.get("/api/status"))["analysis"] is True


async def eventually_analysed(runtime: Open, utterance: str) -> None:
    async def analysed() -> bool:
        return (await runtime.store.utterance(utterance)).analysis is not None

    await eventually(analysed)


async def test_where_nothing_is_analysed_that_is_said(settings: Settings) -> None:
    off = settings.model_copy(update={"analysis": AnalysisSettings(enabled=False)})
    async with open_store(off) as store:
        recorder = store.recorder("sess_a")
        recorder(UserText(1, now(), "打字"))
        await recorder.close()
        assert await store.flush()
        (typed,) = await store.utterances("sess_a")
        runtime = InMemoryRuntime(store=cast(MemoryArchive, store))
        async with serving(runtime) as served, AsyncClient(base_url=served.url) as client:
            told = (await client.get(f"/api/recordings/{typed.id}/analysis")).json()
            assert (told["state"], told["reason"]) == ("unscored", "off")
            assert "KUAIMEI_ANALYSIS__ENABLED" in told["why"]
            assert (await client.post("/api/analysis/again")).status_code == 409
            assert (await client.get("/api/analysis/progress")).status_code == 409
            assert (await client.get(f"/api/recordings/{typed.id}")).json()["analysis"] is None


async def test_a_round_of_labelling(settings: Settings) -> None:
    async with opened(settings) as runtime:
        ids = await runtime.said("sess_a", 3)
        first = await runtime.get("/api/labelling/next?rater=我")
        assert first["id"] in ids
        assert first["transcript"] == "今天的天氣真的很不錯"
        assert (await runtime.client.get(first["audio"])).status_code == 200
        other = await runtime.get(f"/api/labelling/next?rater=我&skip={first['id']}")
        assert other["id"] != first["id"]
        await runtime.post(f"/api/labelling/{first['id']}", 200, confidence=5, stability=1, rater=" =我 ")
        for wrong in (
            {"confidence": 6},
            {"confidence": 0},
            {"rater": "x"},
            {"confidence": 2.5},
            {"charm": 3},
        ):
            response = await runtime.client.post(f"/api/labelling/{first['id']}", json=wrong)
            assert response.status_code in {400, 422}, wrong
        await runtime.post(
            f"/api/labelling/{other['id']}", 200, confidence=2, stability=3, affability=4, rater="我"
        )
        progress = await runtime.get("/api/labelling/progress?rater=我")
        assert (progress["rated"], progress["total"], progress["ratings"]) == (1, 3, 2)
        sheet = (await runtime.client.get("/api/labelling/labels.csv")).text
        rows = list(csv.reader(io.StringIO(sheet.removeprefix("\ufeff"))))
        assert rows[0] == ["utterance", "confidence", "stability", "affability", "rater"]
        assert sorted(rows[1:]) == sorted(
            [[first["id"], "5", "1", "", "'=我"], [other["id"], "2", "3", "4", "我"]]
        )


async def test_who_speaks_is_noted_also_where_the_recorder_makes_the_session(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a", client={"person": "anna"})
        recorder(UserText(1, now(), "打字"))
        await recorder.close()
        assert (await store.session("sess_a")).client == {"person": "anna"}


async def test_the_client_hears_of_it_and_says_who_speaks(settings: Settings) -> None:
    async with opened(settings) as runtime:
        async with talking(runtime.served, "?person=anna-1") as talk:
            session = next(e for e in talk.events if e["type"] == "session.created")["session"]["id"]
            assert (await runtime.store.session(session)).client["person"] == "anna-1"
            await talk.ask()
            item = (await talk.until("input_audio_buffer.committed"))["item_id"]
            reply = (await talk.until("response.output_item.added"))["item"]["id"]
            await talk.until("kuaimei.turn.timing")
            summary = Summary("scored", None, 0.5, 0.25, 0.75)
            tell = runtime.room.announcements.publish
            for scored in (
                Scored("sess_other", 1, "utt_0", "user", True, summary),
                Scored(session, 1, "utt_1", "user", True, summary),
                Scored(session, 1, "utt_2", "assistant", True, summary),
                Scored(
                    session, 1, "utt_3", "user", False, Summary("unscored", "not_speech", None, None, None)
                ),
            ):
                tell(scored)
            heard = [await talk.until("kuaimei.analysis.scored") for _ in range(3)]
            assert [(e["recording"], e["item_id"]) for e in heard] == [
                ("utt_1", item),
                ("utt_2", reply),
                ("utt_3", "utt_3"),
            ]
            assert (heard[0]["state"], heard[0]["confidence"], heard[0]["why"]) == ("scored", 0.5, None)
            assert (heard[2]["reason"], heard[2]["stability"]) == ("not_speech", None)
            assert heard[2]["why"]
        with pytest.raises((ConnectionClosed, AssertionError), match="person"):
            async with asyncio.timeout(20), talking(runtime.served, "?person=not/anna"):
                pass
        refused = await runtime.client.post(
            "/v1/realtime/calls?person=not/anna", content="v=0", headers={"content-type": "application/sdp"}
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_person")
