"""Epic 1: the chat room."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_bdd import given, parsers, scenarios, then, when
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from kuaimei.dialogue.events import ReplyInterrupted, ReplyStarted
from kuaimei.errors import EngineError
from kuaimei.server.app import create_app
from kuaimei.server.serve import make_server
from kuaimei.server.startup_app import StartupApp
from kuaimei.settings import Settings
from tests.features.real_runtime import RealRuntime, level
from tests.features.spoken import SpokenTo
from tests.features.world import World
from tests.support.fakes import FakeLanguageModel, FakeRecognizer, FakeSynthesizer, noise, said, silence
from tests.support.server.app_server import (
    InMemoryRuntime,
    Served,
    eventually,
    make_settings,
    quick_engines,
)
from tests.support.server.realtime_client import Talk, audio_of, b64, talking, wire

scenarios("chat_room.feature")


# A whole turn.


@given(parsers.parse("小美對真正的系統說了「{words}」"))
def _(world: World, runtime: RealRuntime, words: str) -> None:
    world.note.turn = runtime.spoken(words)


@then(parsers.parse("她的逐字稿裡有「{words}」"))
def _(world: World, words: str) -> None:
    told = world.note.turn.one("conversation.item.input_audio_transcription.completed")
    assert words in told["transcript"]


@then("她聽到回答的聲音")
def _(world: World) -> None:
    heard = audio_of(world.note.turn.events)
    assert len(heard) > 12_000
    assert level(heard) > 300


@then("畫面上的回答就是說出口的回答")
def _(world: World) -> None:
    turn = world.note.turn
    shown = "".join(e["delta"] for e in turn.of("response.output_audio_transcript.delta"))
    spoken = "".join(clause["text"] for clause in turn.of("kuaimei.clause"))
    assert shown == spoken
    assert shown.strip()


@then("這一輪附上從說完起算的各階段時間")
def _(world: World) -> None:
    timing = world.note.turn.one("kuaimei.turn.timing")
    stages = [timing[f"{name}_ms"] for name in ("transcript", "first_token", "first_clause", "first_audio")]
    assert stages == sorted(stages)
    assert timing["endpoint_ms"] > 0


@given("小美連上系統", target_fixture="talk")
def _(world: World) -> Talk:
    world.note.served = world.serve()
    return world.talk(world.note.served)


@when("她說一句話")
@when("她再說一句話")
def _(world: World, talk: Talk) -> None:
    world.note.since = len(talk.events)
    world.run(talk.ask())
    world.run(talk.until("kuaimei.turn.timing"))


@then("她收到的聲音與合成器說的完全相同")
def _(world: World, talk: Talk) -> None:
    voice = world.note.served.runtime.engines.synthesizer
    spoken = [voice.audio(request.text) for request in voice.requests]
    assert np.array_equal(audio_of(talk.events), np.concatenate(spoken))


# Typing.


@given("小美連上真正的系統", target_fixture="talk")
def _(world: World, runtime: RealRuntime) -> Talk:
    return world.talk(runtime.served)


@when(parsers.parse("她打字「{words}」並且只要文字回答"))
def _(world: World, talk: Talk, words: str) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}

    async def ask() -> None:
        await talk.send("session.update", session={"output_modalities": ["text"]})
        await talk.send("conversation.item.create", item=item)
        await talk.send("response.create")
        world.note.done = await talk.until("response.done")

    world.run(ask())


@then("她看到一句中文回答")
def _(world: World) -> None:
    (item,) = world.note.done["response"]["output"]
    assert re.search("[\u4e00-\u9fff]", item["content"][0]["text"])


# Interrupting, on virtual time: what is told of seconds holds on any machine.


@given("系統正在說一段長的回答", target_fixture="scene")
def _() -> SpokenTo:
    return SpokenTo()


@when(parsers.parse("她在第 {at:g} 秒打字「{words}」"))
def _(scene: SpokenTo, at: float, words: str) -> None:
    scene.play(at, typed=words)


@when(parsers.parse("她在第 {at:g} 秒插話「{words}」"))
def _(scene: SpokenTo, at: float, words: str) -> None:
    scene.play(at, said(words), recognised=words)


@when(parsers.parse("她在第 {at:g} 秒咳了一聲"))
def _(scene: SpokenTo, at: float) -> None:
    scene.play(at, noise(250), recognised="")


@then("原來的回答停下")
def _(scene: SpokenTo) -> None:
    assert scene.log.one(ReplyInterrupted).turn == 1


@then(parsers.parse("接著回答「{words}」"))
def _(scene: SpokenTo, words: str) -> None:
    assert scene.model.requests[-1].messages[-1].content == words
    assert [event.turn for event in scene.log.of(ReplyStarted)] == [1, 2]


@then("200 毫秒內不再有聲音")
def _(scene: SpokenTo) -> None:
    assert 0.0 < scene.silent_after_s <= 0.2


@then(parsers.parse("系統聽到的是「{words}」"))
def _(scene: SpokenTo, words: str) -> None:
    assert scene.transcripts == [words]


@then("回答沒有被打斷")
def _(scene: SpokenTo) -> None:
    assert not scene.log.of(ReplyInterrupted)


@then("她聽完整段回答")
def _(scene: SpokenTo) -> None:
    assert scene.heard_all()


# The same with what has been sent and is still being played.


@given("系統的回答已經全部送到小美那裡，還在播放", target_fixture="talk")
def _(world: World) -> Talk:
    ears = FakeRecognizer(text=lambda pcm: "嗯" if len(pcm) < 16_000 else "你好嗎", delay_s=0.0)
    voice = FakeSynthesizer(delay_s=0.0, character_ms=600.0)
    talk = world.talk(world.serve(quick_engines(synthesizer=voice, recognizer=ears, captioner=None)))
    world.run(talk.ask())
    world.note.done = world.run(talk.until("response.done"))
    world.note.since = len(talk.events)
    return talk


@when("她插話")
def _(world: World, talk: Talk) -> None:
    loud = b64(wire(said("一二三四五六七八九十")))
    world.run(talk.send("input_audio_buffer.append", audio=loud))
    world.note.interrupted = world.run(talk.until("kuaimei.reply.interrupted"))


@when("她說「嗯」")
def _(world: World, talk: Talk) -> None:
    quick = b64(wire(said("嗯嗯"), silence(1500)))
    world.run(talk.send("input_audio_buffer.append", audio=quick))
    world.note.resumed = world.run(talk.until("kuaimei.reply.resumed"))


def _later(world: World, talk: Talk, kind: str) -> list[dict[str, Any]]:
    """Events of one type since the reply was there."""
    return [event for event in talk.events[world.note.since :] if event["type"] == kind]


@then("系統通知她停止播放那個回答")
def _(world: World, talk: Talk) -> None:
    (held,) = _later(world, talk, "kuaimei.reply.held")
    assert held["response_id"] == world.note.done["response"]["id"]
    assert world.note.interrupted["reason"] == "barge_in"


@then("之後不再送來那個回答的聲音")
def _(world: World, talk: Talk) -> None:
    assert not _later(world, talk, "response.output_audio.delta")


@then("回答先停下，再從同一個地方接著說")
def _(world: World, talk: Talk) -> None:
    (held,) = _later(world, talk, "kuaimei.reply.held")
    assert world.note.resumed["heard_ms"] == pytest.approx(held["heard_ms"])
    again = world.run(talk.until("response.output_audio.delta"))
    assert again["response_id"] == world.note.done["response"]["id"]


# Coming back.


@given(parsers.parse("小美說過「{words}」之後斷線"))
def _(world: World, settings: Settings, words: str) -> None:
    ears = FakeRecognizer(text=words, delay_s=0.0)
    served, store = world.serve_keeping(settings, quick_engines(recognizer=ears))

    async def once() -> str:
        async with talking(served) as talk:
            await talk.ask()
            await talk.until("kuaimei.turn.timing")
        assert await store.flush()
        session: str = talk.events[0]["session"]["id"]
        return session

    world.note.session = world.run(once())
    world.note.served, world.note.store = served, store


@when(parsers.parse("她接回那段對話，問「{words}」"))
def _(world: World, words: str) -> None:
    talk = world.talk(world.note.served, f"?session={world.note.session}")
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}
    world.run(talk.send("conversation.item.create", item=item))
    world.run(talk.send("response.create"))
    world.run(talk.until("response.done"))


@then(parsers.parse("語言模型看得到「{words}」"))
def _(world: World, words: str) -> None:
    model = world.note.served.runtime.engines.language_model
    assert any(words in message.content for message in model.requests[-1].messages)


@given("小美的舊連線還開著")
def _(world: World, settings: Settings) -> None:
    world.note.served, _store = world.serve_keeping(settings)
    world.note.old = world.talk(world.note.served)
    world.note.session = world.note.old.events[0]["session"]["id"]
    world.run(world.note.old.ask())
    world.run(world.note.old.until("kuaimei.turn.timing"))


@when("她從新的連線接管那段對話")
def _(world: World) -> None:
    world.note.talk = world.talk(world.note.served, f"?session={world.note.session}&takeover=true")


@then("舊連線被告知對話已經移走")
def _(world: World) -> None:
    assert world.run(world.note.old.error())["code"] == "session_taken_over"


@then("新連線可以說話")
def _(world: World) -> None:
    world.run(world.note.talk.ask())
    assert world.run(world.note.talk.until("kuaimei.turn.timing"))["turn"] == 2


@given("有一段別人的對話")
def _(world: World, settings: Settings) -> None:
    world.note.served, store = world.serve_keeping(settings)
    somebody = world.run(store.people.add("別人"))
    world.note.session = world.run(store.create_session(owner=somebody.id))


@when("小美試著接管它")
def _(world: World) -> None:
    url = f"{world.note.served.socket_url}?session={world.note.session}&takeover=true"

    async def attempt() -> dict[str, Any]:
        async with connect(url) as socket:
            told: dict[str, Any] = json.loads(await socket.recv())
            return told

    world.note.told = world.run(attempt())


@then("她被告知沒有這段對話")
def _(world: World) -> None:
    assert world.note.told["error"]["code"] == "session_not_found"


# Standing in line.


async def _arrive(served: Served) -> Talk:
    return Talk(await connect(served.socket_url))


@given("只容得下 1 個對話的系統裡有人在說話")
def _(world: World) -> None:
    world.note.served = world.serve(max_sessions=1, max_waiting=2)
    world.note.inside = world.talk(world.note.served)


@given("小美和阿明先後來到")
@when("小美和阿明先後來到")
def _(world: World) -> None:
    for name in ("mei", "ming"):
        talk = world.run(_arrive(world.note.served))
        setattr(world.note, name, talk)
        setattr(world.note, f"{name}_queue", world.run(talk.until("kuaimei.queue")))


@then("小美看到自己排第 1，阿明看到自己排第 2")
def _(world: World) -> None:
    assert (world.note.mei_queue["place"], world.note.ming_queue["place"]) == (1, 2)


@when("裡面的人離開")
def _(world: World) -> None:
    world.run(world.note.inside.socket.close())


@then("小美進入對話")
def _(world: World) -> None:
    world.run(world.note.mei.until("session.created"))


@then("阿明看到自己排第 1")
def _(world: World) -> None:
    world.run(world.note.ming.until("kuaimei.queue", lambda event: event["place"] == 1))
    for talk in (world.note.ming, world.note.mei):
        world.run(talk.socket.close())


@when("又有一個人來到")
def _(world: World) -> None:
    world.note.late = world.run(_arrive(world.note.served))


@then("那個人被告知人太多，連線關閉")
def _(world: World) -> None:
    assert world.run(world.note.late.error())["code"] == "too_many_sessions"
    with pytest.raises(ConnectionClosed):
        world.run(world.note.late.next())
    for talk in (world.note.ming, world.note.mei):
        world.run(talk.socket.close())


# Finding again.


@given(parsers.parse("小美說過「{words}」這段對話"))
def _(world: World, settings: Settings, words: str) -> None:
    served, store = world.serve_keeping(settings)

    async def once(text: str) -> str:
        async with talking(served) as talk:
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
            await talk.send("conversation.item.create", item=item)
            await talk.until("conversation.item.done")
            session: str = talk.events[0]["session"]["id"]
        assert await store.flush()
        return session

    world.run(once("今天天氣如何"))
    world.note.session = world.run(once(words))
    world.note.served, world.note.http = served, world.http(served)


@when(parsers.parse("她搜尋「{words}」"))
def _(world: World, words: str) -> None:
    world.note.found = world.note.http.get("/api/sessions", params={"search": words}).json()["data"]


@then("她找到那一段，而且只有那一段")
def _(world: World) -> None:
    assert [session["id"] for session in world.note.found] == [world.note.session]


@when(parsers.parse("她把它改名為「{title}」"))
def _(world: World, title: str) -> None:
    answer = world.note.http("PATCH", f"/api/sessions/{world.note.session}", json={"title": title})
    assert answer.status_code == 200


@then(parsers.parse("清單上寫著「{title}」"))
def _(world: World, title: str) -> None:
    listed = world.note.http.get("/api/sessions").json()["data"]
    assert title in [session["title"] for session in listed]


@when("小美列出所有對話")
def _(world: World) -> None:
    world.run(_arrive_and_leave(world.note.served))
    world.note.listed = world.http(world.note.served).get("/api/sessions").json()["data"]


async def _arrive_and_leave(served: Served) -> None:
    async with talking(served):
        pass


@then("清單裡沒有別人的")
def _(world: World) -> None:
    assert world.note.session not in [session["id"] for session in world.note.listed]


# What breaks.


@given(parsers.parse("系統的{part}壞了"), target_fixture="talk")
def _(world: World, part: str) -> Talk:
    broken = EngineError("it broke")
    parts: dict[str, tuple[str, Any]] = {
        "辨識": ("recognizer", FakeRecognizer(text="你好嗎", delay_s=0.0, failure=broken)),
        "語言模型": ("language_model", FakeLanguageModel(first_token_s=0, token_s=0, failure=broken)),
        "合成": ("synthesizer", FakeSynthesizer(delay_s=0.0, character_ms=100.0, failure=broken)),
    }
    name, engine = parts[part]
    world.note.engine = engine
    return world.talk(world.serve(quick_engines(**{name: engine})))


@when(parsers.parse("{part}修好了"))
def _(world: World, part: str) -> None:
    world.note.engine.failure = None


STAGES = {"辨識": "recognition", "語言模型": "thinking", "合成": "synthesis"}


@then(parsers.parse("她被告知失敗的是{part}"))
def _(talk: Talk, part: str) -> None:
    told = [event for event in talk.events if event["type"] == "kuaimei.turn.failed"]
    assert [event["stage"] for event in told] == [STAGES[part]]
    assert told[0]["message"]


@then("這一輪完整結束")
def _(world: World, talk: Talk) -> None:
    (done,) = _later(world, talk, "response.done")
    assert done["response"]["status"] == "completed"


@then("她聽到一句道歉")
def _(talk: Talk) -> None:
    assert len(audio_of(talk.events))
    shown = "".join(e["delta"] for e in talk.events if e["type"].endswith("audio_transcript.delta"))
    assert "抱歉" in shown or "對不起" in shown or "不好意思" in shown


# Push to talk.


@given("小美用按住說話的方式連上系統", target_fixture="talk")
def _(world: World) -> Talk:
    talk = world.talk(world.serve())
    world.run(talk.send("session.update", session={"audio": {"input": {"turn_detection": None}}}))
    world.run(talk.until("session.updated"))
    return talk


@when("她按住，說了半句，停了 2 秒，再說完，然後放開")
def _(world: World, talk: Talk) -> None:
    async def hold() -> None:
        for sound in (wire(said("一二三")), wire(silence(2000)), wire(said("四五六"))):
            await talk.send("input_audio_buffer.append", audio=b64(sound))
        # Everything sent before this was heard when it is answered.
        await talk.send("conversation.item.retrieve", item_id="nobody")
        await talk.error()
        world.note.before = list(talk.kinds)
        await talk.send("input_audio_buffer.commit")
        await talk.send("response.create")
        world.note.done = await talk.until("response.done")

    world.run(hold())


@then("停頓的時候系統沒有回答")
def _(world: World) -> None:
    assert "response.created" not in world.note.before
    assert "input_audio_buffer.committed" not in world.note.before


@then("她放開之後得到回答")
def _(world: World) -> None:
    assert world.note.done["response"]["status"] == "completed"


@when("她什麼都沒說就放開")
def _(world: World, talk: Talk) -> None:
    world.run(talk.send("input_audio_buffer.commit"))


@then("她被告知沒有聲音可以送出")
def _(world: World, talk: Talk) -> None:
    assert world.run(talk.error())["code"] == "input_audio_buffer_commit_empty"


# Before everything is loaded.


@asynccontextmanager
async def _loading(runtime: InMemoryRuntime) -> AsyncIterator[tuple[StartupApp, Served]]:
    door = StartupApp(runtime.settings, expecting=("asr", "tts"))
    server = make_server(door, runtime.settings.server)
    running = asyncio.ensure_future(server.serve())
    await eventually(lambda: server.started)
    try:
        yield door, Served(runtime, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await running


@given("系統正在載入辨識與合成")
def _(world: World, tmp_path: Path) -> None:
    world.note.runtime = InMemoryRuntime(settings=make_settings(home=tmp_path))
    world.note.door, world.note.served = world.enter(_loading(world.note.runtime))
    world.note.http = world.http(world.note.served)


def _status(world: World) -> dict[str, Any]:
    status: dict[str, Any] = world.note.http.get("/api/status").json()
    return status


@then("狀態顯示載入中，還缺兩項")
def _(world: World) -> None:
    status = _status(world)
    assert (status["status"], status["loading"]) == ("loading", ["asr", "tts"])


@when("合成載入完成")
def _(world: World) -> None:
    async def tell() -> None:
        world.note.door.progress("tts")

    world.run(tell())


@then("狀態顯示完成一半")
def _(world: World) -> None:
    assert _status(world)["progress"] == 0.5


@when("全部載入完成")
def _(world: World) -> None:
    world.enter(world.note.door.opened(create_app(world.note.runtime)))


@then("小美可以說話並得到回答")
def _(world: World) -> None:
    talk = world.talk(world.note.served)
    world.run(talk.ask())
    assert world.run(talk.until("response.done"))["response"]["status"] == "completed"


@when("有程式要求把文字轉成語音")
def _(world: World) -> None:
    world.note.answer = world.note.http.post("/v1/audio/speech", json={"input": "你好"})


@then("它得到「載入中」與多久之後再試")
def _(world: World) -> None:
    answer = world.note.answer
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "loading")
    assert int(answer.headers["retry-after"]) > 0
