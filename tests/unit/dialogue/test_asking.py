"""Turns that are typed, committed or asked for, instead of ending by themselves."""

import asyncio
from typing import Any

import numpy as np
import pytest

from kuaimei.dialogue.events import (
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyInterrupted,
    SpeechStarted,
    StateChanged,
    TurnEnded,
    TurnMetrics,
    UserText,
)
from kuaimei.dialogue.turn import ReplyOptions
from tests.support.fakes import (
    EventLog,
    FakeLanguageModel,
    FakeRecognizer,
    noise,
    play,
    said,
    silence,
)
from tests.support.virtual_time import virtually
from tests.unit.dialogue.conversing import REPLY, conversation


@virtually
async def test_a_typed_turn() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        assert c.send_text("幾點了") == 1
        assert c.state == "thinking"
        await c.wait_idle()
    assert log.one(UserText).text == "幾點了"
    assert log.one(ReplyFinished).text == REPLY
    timing = log.one(TurnMetrics).timing
    assert timing.endpoint_ms is None
    assert timing.transcript_ms is None
    assert timing.first_token_ms == pytest.approx(200)


@virtually
async def test_typing_interrupts_the_reply() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        c.send_text("天氣")
        await asyncio.sleep(3.0)
        c.send_text("算了")
        await c.wait_idle()
    assert log.one(ReplyInterrupted).turn == 1
    heard = log.one(ReplyInterrupted).heard_text
    assert [m.content for m in model.requests[-1].messages[1:]] == ["天氣", heard, "算了"]


@virtually
async def test_typed_without_reply_then_asked() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        assert c.send_text("我叫小明", reply=False) == 1
        assert c.state == "listening"
        assert c.generate_reply() == 1
        await c.wait_idle()
        assert c.generate_reply() == 2
        await c.wait_idle()
    assert [e.reply for e in log.of(ReplyFinished)] == ["reply_1", "reply_2"]
    assert model.requests[0].messages[-1].content == "我叫小明"


@virtually
async def test_commit_without_endpointing() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        c.endpointing = False
        assert not c.commit()
        await play(c, silence(100), said("今天天氣"), silence(2000), said("如何"))
        assert not log.of(TurnEnded)
        assert c.commit()
        await c.wait_idle()
    assert log.one(TurnEnded).reason == "committed"
    assert log.one(FinalTranscript).text == "今天天氣如何"
    assert log.one(ReplyFinished).text == REPLY


@virtually
async def test_commit_what_no_detector_took_for_speech() -> None:
    log = EventLog()
    async with conversation(log, recognizer=FakeRecognizer("小聲的話")) as c:
        c.endpointing = False
        await play(c, silence(1500) + np.int16(100))
        assert c.commit()
        await c.wait_idle()
    assert log.one(FinalTranscript).text == "小聲的話"


@virtually
async def test_commit_ends_a_turn_early() -> None:
    log = EventLog()
    async with conversation(log) as c:
        await play(c, said("今天天氣"))
        assert c.commit()
        await c.wait_idle()
    assert log.one(TurnEnded).reason == "committed"
    assert log.one(FinalTranscript).text == "今天天氣"


@virtually
async def test_transcribed_only_until_asked() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model, reply_options=ReplyOptions(reply=False)) as c:
        await play(c, said("今天天氣"), silence(1500))
        await c.wait_idle()
        assert not model.requests
        assert log.one(FinalTranscript).text == "今天天氣"
        assert c.generate_reply(ReplyOptions(speak=False)) == 1
        await c.wait_idle()
    assert log.one(ReplyFinished).text == REPLY
    assert not log.of(ReplyAudio)


@virtually
async def test_commit_and_ask_at_once_waits_for_the_transcript() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model, reply_options=ReplyOptions(reply=False)) as c:
        c.endpointing = False
        await play(c, said("今天天氣"))
        c.commit()
        assert c.generate_reply() == 1
        await c.wait_idle()
    assert model.requests[0].messages[-1].content == "今天天氣"
    assert len(log.of(TurnMetrics)) == 1
    assert log.one(ReplyFinished).turn == 1


@virtually
async def test_text_only_replies() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model, reply_options=ReplyOptions(speak=False)) as c:
        c.send_text("天氣")
        await c.wait_idle()
        c.send_text("再說一次")
        await c.wait_idle()
    assert not log.of(ReplyAudio)
    assert [e.state for e in log.of(StateChanged)] == ["thinking", "speaking", "listening"] * 2
    assert [m.content for m in model.requests[-1].messages[1:]] == ["天氣", REPLY, "再說一次"]


@virtually
async def test_asking_in_the_instant_a_turn_that_is_understood_becomes_certain() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model, reply_options=ReplyOptions(reply=False)) as c:
        await play(c, said("今天天氣"), silence(600))  # understood on the guess that it is over
        assert c.commit()
        assert c.generate_reply(ReplyOptions()) == 1
        await c.wait_idle()
    assert model.requests[0].messages[-1].content == "今天天氣"
    assert log.one(ReplyFinished).text == REPLY
    assert len(log.of(TurnMetrics)) == 1


@virtually
async def test_asking_about_what_was_not_understood() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    parts: dict[str, Any] = {"language_model": model, "recognizer": FakeRecognizer("")}
    async with conversation(log, reply_options=ReplyOptions(reply=False), **parts) as c:
        c.send_text("早安", reply=False)
        await play(c, noise(900), silence(600))
        assert c.commit()
        c.generate_reply(ReplyOptions())
        await c.wait_idle()
    assert model.requests[0].messages[-1].content == "早安"
    assert log.one(ReplyFinished).text == REPLY


@virtually
async def test_what_is_committed_between_frames_counts_as_received() -> None:
    log = EventLog()
    async with conversation(log) as c:
        c.endpointing = False
        for _ in range(3):
            await play(c, said("今天天氣"), silence(12))  # 652 ms: not a whole number of frames
            assert c.commit()
            await c.wait_idle()
    assert [e.audio_ms for e in log.of(TurnEnded)] == pytest.approx([652, 1304, 1956])
    assert [e.audio_ms for e in log.of(SpeechStarted)] == pytest.approx([0, 652, 1304])


@virtually
async def test_listening_by_hand_from_a_pause_on_stays_bounded() -> None:
    log = EventLog()
    async with conversation(log) as c:
        await play(c, said("今天天氣"), silence(400))
        c.endpointing = False
        await play(c, silence(60_000), packet_ms=100)
        utterance = c._turn_taking.detector._utterance
        assert utterance is not None
        assert utterance.segment_ms <= 22_500
        await play(c, said("如何"))
        assert c.commit()
        await c.wait_idle()
    assert log.one(FinalTranscript).text == "今天天氣如何"
    assert log.one(ReplyFinished).text == REPLY
