"""The whole server: a reply is heard at once, then beautifully, and both are gone when its session is."""

import asyncio
import io
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.runtime import open_runtime
from kuaimei.settings import EngineSettings, ServerSettings, Settings
from tests.support.fakes import FakeLanguageModel
from tests.support.server.app_server import InMemoryRuntime, quick_engines, serving
from tests.support.server.realtime_client import Talk, audio_of, talking

pytestmark = pytest.mark.models

TEXT = "好的，今天臺北多雲，下午可能會下雨。出門記得帶傘。"


@pytest.fixture
def home(settings: Settings) -> Iterator[Path]:
    """Not pytest's own folder: the database's account may not enter that."""
    with tempfile.TemporaryDirectory(prefix="kuaimei-test-") as name:
        (Path(name) / "models").symlink_to(settings.weights_dir)
        yield Path(name)


async def patiently(talk: Talk, kind: str) -> dict[str, Any]:
    """The next event of its kind; on a busy machine nothing else may come for a while."""
    async with asyncio.timeout(200):
        while True:
            with suppress(TimeoutError):
                return await talk.until(kind)


def is_scored(event: dict[str, Any], recording: str) -> bool:
    return (event["type"], event.get("recording")) == ("kuaimei.analysis.scored", recording)


@pytest.mark.usefixtures("kokoro_source")
async def test_a_reply_is_heard_at_once_and_then_beautifully(home: Path) -> None:
    model = FakeLanguageModel(reply=TEXT, first_token_s=0.0, token_s=0.0)
    async with serving(InMemoryRuntime(engines=quick_engines(language_model=model))) as brain:
        settings = Settings(
            home=home,
            llm=f"{brain.url}/v1",
            asr=f"{brain.url}/v1",
            tts="kokoro",
            vad="webrtc",
            turn="none",
            captions="none",
            voice="",
            engines=EngineSettings(tts_runtime="onnxruntime"),  # nothing is compiled for one sentence
            server=ServerSettings(port=0, open=True),
        )
        async with open_runtime(settings) as runtime, serving(cast(InMemoryRuntime, runtime)) as served:
            async with talking(served) as talk, httpx.AsyncClient(base_url=served.url) as http:
                content = [{"type": "input_text", "text": "今天天氣怎麼樣？"}]
                item = {"type": "message", "role": "user", "content": content}
                await talk.send("conversation.item.create", item=item)
                await talk.send("response.create")
                told = await patiently(talk, "kuaimei.reply.hq_ready")
                fast = audio_of(talk.events)
                (done,) = [e["response"] for e in talk.events if e["type"] == "response.done"]
                clauses = [e for e in talk.events if e["type"] == "kuaimei.clause"]
                assert (told["response_id"], told["item_id"]) == (done["id"], done["output"][0]["id"])
                assert [c["index"] for c in told["clauses"]] == [c["index"] for c in clauses]

                fine, rate = soundfile.read(io.BytesIO((await http.get(told["audio"])).content))
                assert rate == 24_000
                assert told["duration_ms"] == pytest.approx(len(fine) / 24.0)
                assert 0.7 < len(fine) / len(fast) < 1.4
                # The clauses are where they are in the fast one, give or take how it is spoken.
                for fast_clause, clause in zip(clauses[1:], told["clauses"][1:], strict=True):
                    share = fast_clause["start_ms"] / (len(fast) / 24.0)
                    assert abs(clause["start_ms"] / told["duration_ms"] - share) < 0.12

                kept = (await http.get(f"/api/recordings/{told['recording']}")).json()
                assert kept["transcript"] == TEXT
                assert kept["voice"] == runtime.engines.synthesizer.voices[0] == kept["hq"]["voice"]
                assert kept["hq"]["state"] == "ready"
                session = talk.events[0]["session"]["id"]
                while not (scored := [e for e in talk.events if is_scored(e, told["recording"])]):
                    await patiently(talk, "kuaimei.analysis.scored")
                assert (scored[0]["state"], scored[0]["item_id"]) == ("scored", told["item_id"])
                spoken = (await http.get(f"/api/recordings/{told['recording']}/analysis")).json()
                assert spoken["scores"]["affability"]["value"] == scored[0]["affability"]
                assert spoken["features"]["rate_syl_s"] > 2
            assert runtime.hq is not None
            assert (runtime.hq.counts.ready, runtime.hq.model_cache.counters.loads) == (1, 1)
            async with httpx.AsyncClient(base_url=served.url) as http:
                assert (await http.delete(f"/api/sessions/{session}")).status_code == 204
                assert (await http.get(told["audio"])).status_code == 404
            assert [path for path in (home / "recordings").rglob("*") if path.is_file()] == []
