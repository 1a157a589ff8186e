"""Replies that are called off, and how much of one was heard."""

import asyncio
from typing import Any

import pytest

from kuaimei.dialogue.events import (
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
)
from tests.support.fakes import (
    EventLog,
    FakeLanguageModel,
    FakeRecognizer,
    play,
    said,
    silence,
)
from tests.support.virtual_time import virtually
from tests.unit.dialogue.conversing import REPLY, conversation


@virtually
async def test_cancel_stops_thinking() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY, first_token_s=2.0)
    async with conversation(log, language_model=model) as c:
        c.send_text("天氣")
        await asyncio.sleep(1.0)
        c.cancel_reply()
        assert c.state == "listening"
        await c.wait_idle()
        await asyncio.sleep(5.0)
    interrupted = log.one(ReplyInterrupted)
    assert (interrupted.reason, interrupted.heard_ms, interrupted.heard_text) == ("cancelled", 0.0, "")
    assert not log.of(ReplyStarted)
    assert model.opened == model.closed == 1


@virtually
async def test_cancel_stops_speaking_and_nothing_comes_late() -> None:
    log = EventLog()
    async with conversation(log) as c:
        c.send_text("天氣")
        await asyncio.sleep(2.0)
        assert c.state == "speaking"
        c.cancel_reply()
        count = len(log.events)
        await asyncio.sleep(5.0)
        assert len(log.events) == count
        assert log.names()[-3:] == ["ReplyInterrupted", "TurnMetrics", "StateChanged"]


@virtually
async def test_cancel_during_recognition_keeps_the_words() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model, recognizer=FakeRecognizer(delay_s=2.0)) as c:
        await play(c, said("今天天氣"), silence(1500))
        assert c.state == "thinking"
        c.cancel_reply()
        await c.wait_idle()
        assert log.one(FinalTranscript).text == "今天天氣"
        assert not model.requests
        assert c.generate_reply() == 2
        await c.wait_idle()
    assert model.requests[0].messages[-1].content == "今天天氣"


@virtually
async def test_asking_again_after_a_cancel_during_recognition() -> None:
    log = EventLog()
    async with conversation(log, recognizer=FakeRecognizer(delay_s=2.0)) as c:
        await play(c, said("今天天氣"), silence(1500))
        c.cancel_reply()
        assert c.generate_reply() == 1
        await c.wait_idle()
    assert log.one(ReplyInterrupted).reason == "cancelled"
    assert log.one(ReplyFinished).text == REPLY
    assert sum(len(e.pcm) for e in log.of(ReplyAudio)) == round(len(REPLY) * 0.2 * 24_000)


@virtually
async def test_played_corrects_the_history_after_the_fact() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        c.send_text("天氣")
        await asyncio.sleep(3.0)
        c.cancel_reply()
        c.report_playback(800.0)
        c.send_text("再來")
        await c.wait_idle()
        c.report_playback(600.0)  # of a reply that was played to its end, as far as could be known here
        c.send_text("又來")
        await c.wait_idle()
    last = [m.content for m in model.requests[-1].messages[1:]]
    assert last == ["天氣", REPLY[:4], "再來", REPLY[:3], "又來"]


@virtually
async def test_played_while_playing_sets_the_account_right() -> None:
    log = EventLog()
    async with conversation(log) as c:
        c.send_text("天氣")
        await asyncio.sleep(3.0)
        c.report_playback(200.0)
        await asyncio.sleep(0.4)
        c.cancel_reply()
    assert log.one(ReplyInterrupted).heard_ms == pytest.approx(600.0)


@virtually
async def test_clear_forgets_what_was_being_said() -> None:
    log = EventLog()
    async with conversation(log) as c:
        await play(c, said("今天天氣"), silence(300))
        c.clear()
        await c.wait_idle()
        await play(c, said("你好"), silence(1500))
        await c.wait_idle()
    assert log.names(turn=1)[:5] == [
        "SpeechStarted",
        "CaptionUpdated",
        "SpeculationStarted",
        "SpeechRejected",
        "SpeechStarted",
    ]
    assert log.one(FinalTranscript).text == "你好"
    assert log.one(FinalTranscript).turn == 1


@virtually
async def test_played_is_of_the_reply_that_was_heard_though_the_next_turn_has_begun() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)
    async with conversation(log, language_model=model) as c:
        c.send_text("天氣")
        await asyncio.sleep(3.0)
        c.send_text("再來")
        c.report_playback(800.0)
        await c.wait_idle()
        c.send_text("又來")
        await c.wait_idle()
    assert [m.content for m in model.requests[-1].messages[1:4]] == ["天氣", REPLY[:4], "再來"]


@virtually
async def test_who_plays_may_tell_how_much_in_the_instant_of_the_interruption() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY)

    def player(event: Any) -> None:
        if isinstance(event, ReplyInterrupted):
            c.report_playback(600.0)

    async with conversation(log, language_model=model) as c:
        c.observe(player)
        c.send_text("天氣")
        await asyncio.sleep(3.0)
        c.cancel_reply()
        c.send_text("再來")
        await c.wait_idle()
    assert [m.content for m in model.requests[-1].messages[1:]] == ["天氣", REPLY[:3], "再來"]
