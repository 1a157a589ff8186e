"""An answer is begun before the turn is certain to be over: what that saves, and what it must not do."""

import pytest

from kuaimei.dialogue.events import (
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    ReplyText,
    TurnEnded,
    TurnMetrics,
)
from tests.support.fakes import (
    EventLog,
    FakeLanguageModel,
    FakeRecognizer,
    FakeSynthesizer,
    play,
    said,
    silence,
)
from tests.support.virtual_time import virtually
from tests.unit.dialogue.conversing import REPLY, conversation


@virtually
async def test_speculation_that_holds_saves_the_wait() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY, first_token_s=0.05, token_s=0.01)
    recognizer = FakeRecognizer(delay_s=0.1)
    async with conversation(log, language_model=model, recognizer=recognizer) as c:
        await play(c, said("你好嗎今天"), silence(1000))
        await c.wait_idle()
    ended, timing = log.one(TurnEnded), log.one(TurnMetrics).timing
    assert len(recognizer.requests) == 1
    assert timing.first_audio_ms == pytest.approx(timing.endpoint_ms)  # all was ready and waiting
    assert all(e.at >= ended.at for e in log.of(ReplyAudio))
    index = log.events.index(ended)
    assert not [e for e in log.events[:index] if isinstance(e, ReplyStarted | ReplyText | FinalTranscript)]


@virtually
async def test_speculation_that_does_not_hold_leaves_no_trace() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY, first_token_s=0.05)
    recognizer = FakeRecognizer(delay_s=0.1)
    async with conversation(log, language_model=model, recognizer=recognizer) as c:
        await play(c, said("那個颱風"), silence(450), said("什麼時候會來"), silence(1500))
        assert model.opened - model.closed <= 1
        await c.wait_idle()
    assert [n for n in log.names() if n.startswith("Speculation")] == [
        "SpeculationStarted",
        "SpeculationDropped",
        "SpeculationStarted",
    ]
    assert log.one(FinalTranscript).text == "那個颱風什麼時候會來"
    assert [m.content for m in model.requests[0].messages][-1] == "那個颱風"
    assert model.requests[-1].messages[-1].content == "那個颱風什麼時候會來"
    assert model.opened == model.closed
    assert len(log.of(ReplyFinished)) == 1


@virtually
async def test_speaking_on_while_the_reply_is_being_thought_of() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY, first_token_s=3.0)
    async with conversation(log, language_model=model) as c:
        await play(c, said("我想問天氣"), silence(1200), said("還有明天的交通"), silence(1500))
        await c.wait_idle()
    assert [e.turn for e in log.of(TurnEnded)] == [1, 2]
    assert log.one(ReplyInterrupted).turn == 1
    assert model.requests[-1].messages[-1].content == "我想問天氣\n還有明天的交通"
    assert log.one(ReplyFinished).turn == 2


@virtually
async def test_speaking_on_while_still_being_recognised() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model, recognizer=FakeRecognizer(delay_s=2.5)) as c:
        await play(c, said("我想問天氣"), silence(1000), said("還有明天的交通"), silence(1500))
        await c.wait_idle()
    assert [e.text for e in log.of(FinalTranscript)] == ["我想問天氣", "還有明天的交通"]
    assert [r.messages[-1].content for r in model.requests][-1] == "我想問天氣\n還有明天的交通"
    assert log.one(ReplyFinished).turn == 2


@virtually
async def test_while_no_answer_is_ready_the_speaker_may_go_on() -> None:
    log = EventLog()
    settings = {"unready_silence_ms": 1000}
    async with conversation(log, settings, synthesizer=FakeSynthesizer(delay_s=0.6)) as c:
        await play(c, said("我想問天氣"), silence(850), said("還有明天的交通"), silence(3000))
        await c.wait_idle()
    assert log.one(FinalTranscript).text == "我想問天氣還有明天的交通"
    ended, heard = log.one(TurnEnded), log.of(ReplyAudio)[0]
    assert heard.at - ended.at < 0.7  # waiting for the end and making the answer overlapped


@virtually
async def test_a_turn_ends_as_soon_as_its_answer_is_ready() -> None:
    log = EventLog()
    settings = {"unready_silence_ms": 3000}
    async with conversation(log, settings, synthesizer=FakeSynthesizer(delay_s=0.6)) as c:
        await play(c, said("我想問天氣"), silence(5000))
        await c.wait_idle()
    ended, heard = log.one(TurnEnded), log.of(ReplyAudio)[0]
    assert ended.at - ended.last_voiced_at < 2.0
    assert heard.at == ended.at


@virtually
async def test_what_is_typed_in_a_pause_of_speech_is_known_to_its_answer() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        await play(c, said("今天天氣"), silence(600))  # understood, and its answer begun
        c.send_text("我在臺北", reply=False)
        await play(c, silence(1500))
        await c.wait_idle()
    assert model.requests[-1].messages[-1].content == "我在臺北\n今天天氣"
    assert log.one(ReplyFinished).text == REPLY
    assert model.opened == model.closed
