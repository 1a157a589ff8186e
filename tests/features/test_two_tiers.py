"""Epic 6: fast first, then beautiful."""

import asyncio
import io
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile  # type: ignore[import-untyped]
from pytest_bdd import given, parsers, scenarios, then, when

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.events import SpeechRejected, SpeechStarted
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.tts.openai import OpenAISynthesizer
from kuaimei.errors import EngineError
from kuaimei.rendering.broadcast import Ready
from kuaimei.rendering.hq_tier import HqTier
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.settings import RenderingSettings, Settings
from kuaimei.store import Store, open_store
from kuaimei.store.rows import Boundary, Rendering
from kuaimei.text.lexicon import load_lexicon
from kuaimei.text.normalization import normalize_text
from kuaimei.workers.engines import ENGINES
from kuaimei.workers.reference_store import ReferenceStore
from tests.features.real_runtime import RealRuntime
from tests.features.world import World
from tests.integration.store.test_recovery import reached, victim
from tests.integration.store.test_rendering import ready, reply_once
from tests.support.fakes import FakeSynthesizer
from tests.support.server.app_server import InMemoryRuntime, MemoryArchive, quick_engines, serving
from tests.support.store.rendering import Slow, rendering, synthesizer
from tests.support.store.talking import eventually, now
from tests.support.tone_engine import Tone
from tests.unit.workers import test_client as worker

scenarios("two_tiers.feature")

Run = Callable[..., "subprocess.CompletedProcess[str]"]
FIFTY = (
    "今天早上天氣很好，我們一家人到河邊散步，孩子在草地上跑來跑去，中午在樹下吃便當，傍晚才慢慢走回家裡去。"
)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With both tiers."""
    return settings.model_copy(update={"rendering": RenderingSettings()})


# The fast one.


@given("一段 50 個字的中文")
def _(world: World) -> None:
    world.note.text = FIFTY
    assert 48 <= len(FIFTY) <= 52


@when("要求說成一個完整的聲音檔")
def _(world: World, runtime: RealRuntime) -> None:
    world.note.data = runtime.sound(world.note.text)


@then("得到一個完整的聲音檔，長度合理")
def _(world: World) -> None:
    pcm, rate = soundfile.read(io.BytesIO(world.note.data))
    assert 6.0 < len(pcm) / rate < 18.0
    assert abs(pcm).max() > 0.05


@given("系統已經啟動")
def _(world: World) -> None:
    world.note.http = world.http(world.serve())


@when(parsers.parse("要求用「{voice}」這個聲音說話"))
def _(world: World, voice: str) -> None:
    world.note.answer = world.note.http.post("/v1/audio/speech", json={"input": "你好", "voice": voice})


@then("被告知沒有這個聲音，並列出有哪些")
def _(world: World) -> None:
    error = world.note.answer.json()["error"]
    assert error["code"] == "voice_not_found"
    assert "fake_one" in error["message"]


@given("一個合成到一半就停住的合成器")
def _(world: World) -> None:
    voice = FakeSynthesizer(delay_s=0.0, character_ms=500.0, pieces=2, piece_delay_s=3600.0)
    world.note.http = world.http(world.serve(quick_engines(synthesizer=voice)))


@when("要求串流說一句話")
def _(world: World) -> None:
    async def listen() -> int:
        body = {"input": "你好", "response_format": "pcm"}
        async with world.note.http.client.stream("POST", "/v1/audio/speech", json=body) as answer:
            async for piece in answer.aiter_bytes():
                return len(piece)
        return 0

    world.note.bytes = world.run(listen(), 30)


@then("停住的時候已經收到前半段的聲音")
def _(world: World) -> None:
    assert world.note.bytes > 0


# The beautiful one, really made.


@given(parsers.parse("小美對真正的系統說了「{words}」"))
def _(world: World, runtime: RealRuntime, words: str) -> None:
    world.note.turn, world.note.http = runtime.spoken(words), runtime.http


@given("沒有人說話之後過了一會兒")
@when("沒有人說話之後過了一會兒")
def _(world: World, runtime: RealRuntime) -> None:
    world.note.ready = runtime.rendered(world.note.turn)


@then("她被通知那個回答有了美的版本")
def _(world: World) -> None:
    done = world.note.turn.one("response.done")["response"]
    assert world.note.ready["response_id"] == done["id"]
    assert world.note.ready["item_id"] == done["output"][0]["id"]


@then("通知附上每個子句的位置，供換聲音時對齊")
def _(world: World) -> None:
    clauses = world.note.ready["clauses"]
    assert [c["index"] for c in clauses] == [c["index"] for c in world.note.turn.of("kuaimei.clause")]
    assert clauses[-1]["end_ms"] == pytest.approx(world.note.ready["duration_ms"], abs=1.0)


@then("快和美兩個版本都能下載，而且不同")
def _(world: World) -> None:
    path = world.note.ready["audio"].partition("?")[0]
    fast, fine = (world.note.http.get(f"{path}?tier={tier}").content for tier in ("fast", "hq"))
    assert fast.startswith(b"fLaC")
    assert fine.startswith(b"fLaC")
    assert fast != fine


@when("評分者要一題來比較")
def _(world: World) -> None:
    world.note.trial = world.note.http.post("/api/listening/next", params={"kind": "tiers"}).json()


@then("題目裡看不出哪個是快、哪個是美")
def _(world: World) -> None:
    trial = world.note.trial
    assert set(trial) == {"object", "id", "kind", "text", "a", "b"}
    clips = [world.note.http.get(trial[side]) for side in "ab"]
    assert {clip.headers["content-type"] for clip in clips} == {"audio/flac"}
    assert "fast" not in trial["a"] + trial["b"]
    assert "hq" not in trial["a"] + trial["b"]


@when("他選了第一個")
def _(world: World) -> None:
    path = f"/api/listening/{world.note.trial['id']}"
    world.note.judged = world.note.http.post(path, json={"choice": "a"}).json()


@then("這時才告訴他選的是哪個")
def _(world: World) -> None:
    assert world.note.judged["preferred"] == world.note.judged["a"]
    assert {world.note.judged["a"], world.note.judged["b"]} == {"fast", "hq"}


@then("匯出的結果裡有這一題")
def _(world: World) -> None:
    assert world.note.trial["id"] in world.note.http.get("/api/listening/results.csv").text


# Told to whom it concerns.


@given("小美和阿明各自在對話")
def _(world: World) -> None:
    hq = HqTier(ModelCache(1000.0))
    served = world.enter(serving(InMemoryRuntime(store=MemoryArchive(), hq=hq)))
    world.note.hq, world.note.mei, world.note.ming = hq, world.talk(served), world.talk(served)
    world.run(world.note.mei.ask())
    world.run(world.note.mei.until("response.done"))


@when("小美的回答有了美的版本")
def _(world: World) -> None:
    session = world.note.mei.events[0]["session"]["id"]
    made = Rendering("ready", "zf_a", "fake", 900.0, 24_000, 10, "ab" * 32, (Boundary(0, 0.0, 900.0),), None)

    async def tell() -> None:
        world.note.hq.announcements.publish(Ready(session, 1, "utt_x", made))
        await world.note.mei.until("kuaimei.reply.hq_ready")

    world.run(tell())


@then("阿明沒有收到通知")
def _(world: World) -> None:
    async def kinds() -> list[str]:
        await world.note.ming.send("input_audio_buffer.clear")
        await world.note.ming.until("input_audio_buffer.cleared")
        return [event["type"] for event in world.note.ming.events]

    assert "kuaimei.reply.hq_ready" not in world.run(kinds())


# Behind everyone, and durable.


@given("有人正在說話，另一段對話的回答等著做美的版本")
def _(world: World, settings: Settings) -> None:
    world.note.speaker, world.note.idle_monitor = synthesizer(), IdleMonitor(settle_s=0.01)

    async def begin(store: Store) -> str:
        world.note.watch = world.note.idle_monitor.watch("sess_b")
        world.note.watch(SpeechStarted(1, now(), 0.0))
        return await reply_once(store)

    async def taken_up(store: Store) -> None:
        async def doing() -> bool:
            return (await store._jobs.counts()).get("doing") == 1

        await eventually(doing)

    store = world.note.store = world.enter(open_store(settings))
    world.note.utterance = world.run(begin(store))
    world.enter(rendering(store, world.note.speaker, idle_monitor=world.note.idle_monitor))
    world.run(taken_up(store))


@then("美的版本還沒開始合成")
def _(world: World) -> None:
    assert world.note.speaker.requests == []


@when("說話的人停了")
def _(world: World) -> None:
    async def stop() -> None:
        world.note.watch(SpeechRejected(1, now(), ""))

    world.run(stop())


@then("美的版本做好了")
def _(world: World) -> None:
    made: Rendering = world.run(ready(world.note.store, world.note.utterance))
    assert made.state == "ready"
    assert world.note.speaker.requests


@given("美的版本做到一半，程序被強制結束")
def _(world: World, settings: Settings) -> None:
    async def killed() -> str:
        async with open_store(settings) as store:
            utterance = await reply_once(store)
        async with victim(settings, "", module="tests.support.store.rendering") as process:
            await reached(process, "second")
            process.send_signal(signal.SIGKILL)
        return utterance

    world.note.utterance = world.run(killed())


@when("系統重新啟動")
def _(world: World, settings: Settings) -> None:
    speaker: Slow = synthesizer()
    world.note.speaker = speaker
    world.note.store = world.enter(open_store(settings))
    world.enter(rendering(world.note.store, speaker))


# Reading.


@given(parsers.parse("單位的讀法表寫著 {written} 讀作「{reading}」"))
def _(world: World, tmp_path: Path, written: str, reading: str) -> None:
    path = tmp_path / "lexicon.toml"
    path.write_text(f'[replacements]\n{written} = "{reading}"\n', encoding="utf-8")
    world.note.lexicon = load_lexicon(path)


@when(parsers.parse("要唸「{text}」"))
def _(world: World, text: str) -> None:
    world.note.read = normalize_text(text, world.note.__dict__.get("lexicon"))


@then(parsers.parse("唸成「{reading}」"))
def _(world: World, reading: str) -> None:
    assert world.note.read == reading


# Elsewhere.


@given("另一臺機器上有一個合成引擎的服務")
def _(world: World, tmp_path: Path) -> None:
    world.note.tone = Tone()
    client = worker.served(ReferenceStore(tmp_path), world.note.tone, tmp_path)
    found: OpenAISynthesizer = world.enter(client)
    world.note.client = found


@when("主機用網址請它用借出的聲音說話")
def _(world: World) -> None:
    world.note.client.put_reference("voice_1", worker.VOICE, "你好。")
    pcm: Pcm = world.run(worker.said(world.note.client, voice_id="voice_1"))
    world.note.pcm = pcm


@then("聽到聲音，而且那臺機器收到了參考錄音")
def _(world: World) -> None:
    assert len(world.note.pcm)
    (asked,) = world.note.tone.asked
    assert asked.reference is not None
    assert asked.reference.transcript == "你好。"


@when("主機借給它一段不是聲音的檔案")
def _(world: World) -> None:
    world.note.client.put_reference("voice_1", b"%PDF-1.7", "你好。")
    with pytest.raises(EngineError) as refused:
        world.run(worker.said(world.note.client, voice_id="voice_1"))
    world.note.refused = refused.value


@then("被告知那臺機器拒絕了")
def _(world: World) -> None:
    assert "rejected the request" in str(world.note.refused)


@when("要啟動一個權重限制非商用的引擎，沒有表示接受授權")
def _(world: World, kuaimei: Run) -> None:
    world.note.told = kuaimei("worker", "--engine", "xtts", status=1).stderr


@then("它不啟動，並說出授權與怎麼表示接受")
def _(world: World) -> None:
    assert ENGINES["xtts"].licence.weights in world.note.told
    assert "--accept-licence" in world.note.told


# Room for two.


@given("記憶體預算放得下兩個模型")
def _(world: World) -> None:
    world.note.model_cache = world.enter(ModelCache(250.0))
    world.note.open = []


def _model(world: World, name: str) -> Any:
    @asynccontextmanager
    async def opened() -> AsyncIterator[str]:
        world.note.open.append(name)
        try:
            yield name
        finally:
            world.note.open.remove(name)

    return world.note.model_cache.use(name, 100.0, opened)


@when("依序用了甲、乙、甲、丙")
def _(world: World) -> None:
    async def use() -> None:
        for name in "甲乙甲丙":
            async with _model(world, name):
                await asyncio.sleep(0)

    world.run(use())


@when("甲正在使用，又用了乙和丙")
def _(world: World) -> None:
    async def use() -> None:
        async with _model(world, "甲"):
            for name in "乙丙":
                async with _model(world, name):
                    await asyncio.sleep(0)
            world.note.while_used = sorted(world.note.open)

    world.run(use())
    assert "甲" in world.note.while_used


@then("讓出的是乙")
def _(world: World) -> None:
    assert sorted(world.note.open) == sorted("甲丙")
