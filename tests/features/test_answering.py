"""Epic 4: the language model."""

from typing import Any

from pytest_bdd import given, parsers, scenarios, then, when

from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import ReplyAudio, ReplyFinished, ReplyInterrupted, ReplyText
from kuaimei.engines.llm.context_window import fit_context
from kuaimei.engines.types import Message
from kuaimei.settings import DialogueSettings
from kuaimei.text.clauses import split_clauses
from tests.features.spoken import REPLY, SpokenTo
from tests.features.world import World
from tests.support.fakes import (
    EventLog,
    FakeLanguageModel,
    FakeRecognizer,
    FakeSynthesizer,
    fake_engines,
    play,
    said,
    silence,
)
from tests.support.server.app_server import quick_engines
from tests.support.server.realtime_client import Talk, b64, wire
from tests.support.virtual_time import run_virtually

scenarios("answering.feature")


# Memory.


@given(parsers.parse("小美先說「{words}」"))
def _(world: World, words: str) -> None:
    world.note.first = words


@when(parsers.parse("她再說「{words}」"))
def _(world: World, words: str) -> None:
    log, model = EventLog(), FakeLanguageModel(first_token_s=0.05, token_s=0.01)

    async def happen() -> None:
        engines = fake_engines(language_model=model)
        async with Conversation(engines, DialogueSettings(unready_silence_ms=0), "s", [log]) as conversation:
            for text in (world.note.first, words):
                await play(conversation, said(text), silence(1500))
                await conversation.wait_idle()

    run_virtually(happen())
    world.note.model, world.note.log = model, log


@then(parsers.parse("語言模型看得到「{words}」和先前的回答"))
def _(world: World, words: str) -> None:
    seen = [(message.role, message.content) for message in world.note.model.requests[-1].messages]
    reply = world.note.log.of(ReplyFinished)[0].text
    assert seen[1:3] == [("user", words), ("assistant", reply)]


@given("一段很長的對話，放不進語言模型的前文")
def _(world: World) -> None:
    system = Message(role="system", content="你是快美。")
    turns = [
        Message(role="user" if n % 2 == 0 else "assistant", content=f"第{n}句，說了一些話。")
        for n in range(201)
    ]
    world.note.messages = (system, *turns)


@when("整理成放得下的長度")
def _(world: World) -> None:
    world.note.kept = fit_context(world.note.messages, 300)


@then("系統提示和最新的問題都在")
def _(world: World) -> None:
    assert (world.note.kept[0], world.note.kept[-1]) == (world.note.messages[0], world.note.messages[-1])


@then("省略的是最舊的")
def _(world: World) -> None:
    kept, all_of_it = world.note.kept[1:], world.note.messages[1:]
    assert 1 < len(kept) < len(all_of_it)
    assert kept == all_of_it[-len(kept) :]


# Another one.


@given(parsers.parse("另一臺機器上有一個 OpenAI 相容的語言模型，會回答「{reply}」"), target_fixture="talk")
@given(parsers.parse("語言模型會寫「{reply}」"), target_fixture="talk")
def _(world: World, reply: str) -> Talk:
    world.note.served = world.serve(quick_engines(language_model=world.model_by_url(reply)))
    return world.talk(world.note.served)


@given("設定的語言模型網址沒有人在聽", target_fixture="talk")
def _(world: World) -> Talk:
    model = world.model_by_url("有人在聽", leaves=True)
    return world.talk(world.serve(quick_engines(language_model=model)))


@when("小美打字問它一句話")
def _(world: World, talk: Talk) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "你是誰"}]}

    async def ask() -> None:
        await talk.send("conversation.item.create", item=item)
        await talk.send("response.create")
        world.note.done = await talk.until("response.done")

    world.run(ask())


@then(parsers.parse("她看到「{reply}」"))
def _(talk: Talk, reply: str) -> None:
    deltas = [e["delta"] for e in talk.events if e["type"] == "response.output_audio_transcript.delta"]
    assert "".join(deltas) == reply


@then(parsers.parse("唸出來的字也是「{reply}」"))
def _(world: World, reply: str) -> None:
    voice = world.note.served.runtime.engines.synthesizer
    assert "".join(request.text for request in voice.requests) == reply


@then("她被告知這一輪失敗，說明指出那個網址")
def _(world: World, talk: Talk) -> None:
    assert world.note.done["response"]["status"] == "failed"
    (failed,) = [event for event in talk.events if event["type"] == "kuaimei.turn.failed"]
    assert "127.0.0.1" in failed["message"]


# Early.


@given("語言模型寫得很慢")
def _(world: World) -> None:
    world.note.model = FakeLanguageModel(REPLY, first_token_s=0.3, token_s=0.3)


@when("小美打字問它一句話，計時")
def _(world: World) -> None:
    log = EventLog()

    async def happen() -> None:
        engines = fake_engines(language_model=world.note.model)
        async with Conversation(engines, DialogueSettings(), "s", [log]) as conversation:
            conversation.send_text("天氣如何")
            await conversation.wait_idle()

    run_virtually(happen())
    world.note.log = log


@then("語言模型還沒寫完，她就聽到開頭")
def _(world: World) -> None:
    log = world.note.log
    assert log.of(ReplyAudio)[0].at < log.of(ReplyText)[-1].at
    assert log.one(ReplyFinished).text == REPLY


@given(parsers.parse("語言模型寫了「{text}」"))
def _(world: World, text: str) -> None:
    world.note.text = text


@when("切成子句")
def _(world: World) -> None:
    world.note.clauses = split_clauses(world.note.text)
    assert len(world.note.clauses) > 1


@then(parsers.parse("「{whole}」沒有被切開"))
def _(world: World, whole: str) -> None:
    assert any(whole in clause for clause in world.note.clauses)


@then("子句接起來就是原文")
def _(world: World) -> None:
    assert "".join(world.note.clauses) == world.note.text


# What was heard.


@given("系統正在說一段長的回答", target_fixture="scene")
def _() -> SpokenTo:
    return SpokenTo()


@when(parsers.parse("她在第 {at:g} 秒插話「{words}」"))
def _(scene: SpokenTo, at: float, words: str) -> None:
    scene.play(at, said(words), recognised=words)


@then("語言模型看到的上一個回答停在她聽到的地方")
def _(scene: SpokenTo) -> None:
    heard = scene.log.one(ReplyInterrupted).heard_text.strip()
    before = [m.content for m in scene.model.requests[-1].messages if m.role == "assistant"]
    assert before == [heard]
    assert REPLY.startswith(heard)
    assert 0 < len(heard) < len(REPLY)


@given("系統的回答已經送到小美那裡，她插話打斷", target_fixture="talk")
def _(world: World) -> Talk:
    voice = FakeSynthesizer(delay_s=0.0, character_ms=600.0)
    ears = FakeRecognizer(text="你好嗎", delay_s=0.0)
    world.note.served = world.serve(quick_engines(synthesizer=voice, recognizer=ears))
    talk = world.talk(world.note.served)

    async def interrupt() -> None:
        await talk.ask()
        done = await talk.until("response.done")
        world.note.item = done["response"]["output"][0]["id"]
        loud = b64(wire(said("一二三四五六七八九十")))
        await talk.send("input_audio_buffer.append", audio=loud)
        await talk.until("kuaimei.reply.interrupted")

    world.run(interrupt())
    return talk


@when("她的播放器說只播了前 1.9 秒")
def _(world: World, talk: Talk) -> None:
    played: dict[str, Any] = {"item_id": world.note.item, "content_index": 0, "audio_end_ms": 1900}

    async def tell() -> None:
        await talk.send("conversation.item.truncate", **played)
        await talk.until("conversation.item.truncated")
        await talk.send("input_audio_buffer.append", audio=b64(wire(silence(1500))))
        await talk.until("response.done")

    world.run(tell())


@then(parsers.parse("下一次語言模型看到的上一個回答是「{words}」"))
def _(world: World, words: str) -> None:
    model = world.note.served.runtime.engines.language_model
    assert [m.content for m in model.requests[-1].messages if m.role == "assistant"] == [words]
