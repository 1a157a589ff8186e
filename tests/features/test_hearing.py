"""Epic 2: what is said is understood."""

from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import httpx
from pytest_bdd import given, parsers, scenarios, then, when

from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import ASR_RATE
from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import (
    CaptionUpdated,
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    SpeculationDropped,
    SpeechStarted,
    TurnEnded,
    TurnMetrics,
)
from kuaimei.settings import DialogueSettings
from kuaimei.text.script import to_traditional
from tests.features.real_runtime import RealRuntime
from tests.features.world import World
from tests.support.fakes import EventLog, FakeLanguageModel, FakeRecognizer, fake_engines, play, said, silence
from tests.support.server.app_server import quick_engines
from tests.support.server.realtime_client import Talk
from tests.support.virtual_time import run_virtually

scenarios("hearing.feature")

LONG = "今天天氣很好適合出門走走散步吃飯" * 2


def listened(
    log: EventLog, model: FakeLanguageModel, *steps: Callable[[Conversation], Coroutine[Any, Any, None]]
) -> None:
    """A conversation on virtual time, with these things happening in it one after the other."""

    async def happen() -> None:
        engines = fake_engines(language_model=model, recognizer=FakeRecognizer(delay_s=0.1))
        settings = DialogueSettings(unready_silence_ms=0)
        async with Conversation(engines, settings, "s", [log]) as conversation:
            for step in steps:
                await step(conversation)
            await conversation.wait_idle()

    run_virtually(happen())


# Captions.


@given("小美正在說一段 5 秒的話")
def _(world: World) -> None:
    world.note.words = LONG


@when("她說完")
def _(world: World) -> None:
    world.note.log = EventLog()
    listened(world.note.log, FakeLanguageModel(), lambda c: play(c, silence(300), said(LONG), silence(1500)))


@then("說話期間每兩次字幕相隔不超過 300 毫秒")
def _(world: World) -> None:
    times = [world.note.log.one(SpeechStarted).at, *(e.at for e in world.note.log.of(CaptionUpdated))]
    assert len(times) > 10
    assert max(later - earlier for earlier, later in pairwise(times)) <= 0.3


@then("最後的字幕就是她說的話")
def _(world: World) -> None:
    assert world.note.log.of(CaptionUpdated)[-1].text == world.note.words


@given(parsers.parse("小美對真正的系統說了「{words}」"))
def _(world: World, runtime: RealRuntime, words: str) -> None:
    world.note.turn = runtime.spoken(words)


@given("小美連上系統", target_fixture="talk")
def _(world: World) -> Talk:
    return world.talk(world.serve())


@then("她在最終逐字稿之前就看到字幕")
def _(talk: Talk) -> None:
    kinds = [event["type"] for event in talk.events]
    final = "conversation.item.input_audio_transcription.completed"
    assert kinds.index("kuaimei.caption") < kinds.index(final)


@then("逐字稿、字幕和回答都沒有簡體字")
def _(world: World) -> None:
    turn = world.note.turn
    texts = [turn.one("conversation.item.input_audio_transcription.completed")["transcript"]]
    texts += [e["text"] for e in turn.of("kuaimei.caption") if e["text"]]
    texts += [e["text"] for e in turn.of("kuaimei.clause")]
    assert all(texts)
    assert [to_traditional(text) for text in texts] == texts


# Files.


@given(parsers.parse("有一段錄音，用「{voice}」說「{words}」"))
def _(world: World, runtime: RealRuntime, voice: str, words: str) -> None:
    world.note.http = runtime.http
    world.note.file = ("said.wav", runtime.sound(words, voice))


@given(parsers.parse("有一個 MP3 錄音檔，內容是「{words}」"))
def _(world: World, runtime: RealRuntime, words: str) -> None:
    world.note.http = runtime.http
    world.note.file = ("said.mp3", runtime.sound(words, fmt="mp3"))


@given("小美連上系統的檔案辨識")
def _(world: World) -> None:
    served = world.serve(quick_engines(recognizer=FakeRecognizer(delay_s=0.0)))
    world.note.http = world.http(served)


def _send(world: World, name: str, data: bytes, **fields: str) -> httpx.Response:
    answer: httpx.Response = world.note.http.post(
        "/v1/audio/transcriptions", files={"file": (name, data)}, data={"model": "kuaimei", **fields}
    )
    return answer


@when("她把錄音轉成文字")
def _(world: World) -> None:
    world.note.answer = _send(world, *world.note.file)


@when(parsers.parse("她指定用「{language}」辨識一段錄音"))
def _(world: World, language: str) -> None:
    data = encode(said("你好"), ASR_RATE, "wav")
    world.note.answer = _send(world, "a.wav", data, language=language)


@when("她送出空的檔案")
def _(world: World) -> None:
    world.note.answer = _send(world, "a.wav", b"")


@when("她送出改名的文件")
def _(world: World) -> None:
    world.note.answer = _send(world, "a.wav", b"%PDF-1.7 " * 300)


@when("她送出兩秒的安靜")
def _(world: World) -> None:
    world.note.answer = _send(world, "a.wav", encode(silence(2000), ASR_RATE, "wav"))


@then(parsers.parse("文字裡有「{words}」"))
def _(world: World, words: str) -> None:
    assert words in world.note.answer.json()["text"]


@then("文字是空白的")
def _(world: World) -> None:
    assert world.note.answer.json()["text"] == ""


@then("她被告知只有 zh 和 en")
def _(world: World) -> None:
    assert world.note.answer.status_code == 400
    assert "available: zh, en" in world.note.answer.json()["error"]["message"]


@then("她被告知檔案是空的")
def _(world: World) -> None:
    _refused(world, "empty")


@then("她被告知不是聲音檔")
def _(world: World) -> None:
    _refused(world, "audio format")


def _refused(world: World, words: str) -> None:
    assert world.note.answer.status_code == 400
    assert words in world.note.answer.json()["error"]["message"]


# The screen, and names.


@given(parsers.parse("語言模型會寫「{reply}」"), target_fixture="talk")
def _(world: World, reply: str) -> Talk:
    return world.talk(world.serve(quick_engines(language_model=world.model_by_url(reply))))


@given("系統設定了專有名詞「快美」和「陳怡君」", target_fixture="talk")
def _(world: World) -> Talk:
    world.note.served = world.serve(dialogue={"hotwords": ("快美", "陳怡君")})
    return world.talk(world.note.served)


@when("她說一句話")
def _(world: World, talk: Talk) -> None:
    world.run(talk.ask())
    world.run(talk.until("kuaimei.turn.timing"))


@then(parsers.parse("畫面上的回答是「{reply}」"))
def _(talk: Talk, reply: str) -> None:
    deltas = [e["delta"] for e in talk.events if e["type"] == "response.output_audio_transcript.delta"]
    assert "".join(deltas) == reply


@then("辨識收到這兩個詞")
def _(world: World) -> None:
    recognizer = world.note.served.runtime.engines.recognizer
    assert {request.hotwords for request, _ in recognizer.requests} == {("快美", "陳怡君")}


# Pauses.


@given(parsers.parse("小美說「{words}」"))
def _(world: World, words: str) -> None:
    world.note.first, world.note.log = words, EventLog()
    world.note.model = FakeLanguageModel(first_token_s=0.05, token_s=0.01)


@when(parsers.parse("她停了 {ms:d} 毫秒，接著說「{words}」"))
def _(world: World, ms: int, words: str) -> None:
    note = world.note
    listened(
        note.log, note.model, lambda c: play(c, said(note.first), silence(ms), said(words), silence(1500))
    )


@when("她停下來")
def _(world: World) -> None:
    note = world.note
    listened(note.log, note.model, lambda c: play(c, said(note.first), silence(1000)))


@then(parsers.parse("系統只聽到一句「{words}」"))
def _(world: World, words: str) -> None:
    assert world.note.log.one(FinalTranscript).text == words


@then("只回答一次")
def _(world: World) -> None:
    assert len(world.note.log.of(ReplyFinished)) == 1


@then("系統聽到兩句")
def _(world: World) -> None:
    assert [e.text for e in world.note.log.of(FinalTranscript)] == ["今天天氣", "明天天氣"]


@then("判斷她說完的那一刻，回答的聲音已經準備好")
def _(world: World) -> None:
    ended = world.note.log.one(TurnEnded)
    assert world.note.log.of(ReplyAudio)[0].at == ended.at
    timing = world.note.log.one(TurnMetrics).timing
    assert timing.first_audio_ms == timing.endpoint_ms


@then("猜錯的那次沒有出現在對話裡")
def _(world: World) -> None:
    log, model = world.note.log, world.note.model
    assert log.of(SpeculationDropped)
    assert model.requests[0].messages[-1].content == world.note.first  # it was thought about
    (ended,) = log.of(TurnEnded)
    seen = [e for e in log.events[: log.events.index(ended)] if isinstance(e, FinalTranscript | ReplyAudio)]
    assert not seen
    assert model.opened == model.closed
