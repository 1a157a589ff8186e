import asyncio
from typing import Any

import numpy as np
import pytest

from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import (
    Event,
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyInterrupted,
    ReplyPaused,
    ReplyResumed,
    SpeechRejected,
    StateChanged,
    TurnEnded,
    TurnFailed,
)
from kuaimei.dialogue.turn import ReplyOptions
from kuaimei.engines.types import Message
from kuaimei.errors import EngineError
from kuaimei.settings import DialogueSettings
from tests.support.fakes import (
    EventLog,
    FakeLanguageModel,
    FakeRecognizer,
    FakeSynthesizer,
    fake_engines,
    noise,
    play,
    said,
    silence,
)
from tests.support.virtual_time import virtually
from tests.unit.dialogue.conversing import REPLY


def talking(log: EventLog, **parts: Any) -> Conversation:
    """A conversation with a long reply."""
    parts.setdefault("language_model", FakeLanguageModel(REPLY, first_token_s=0.05, token_s=0.01))
    reply_options = parts.pop("reply_options", ReplyOptions())
    return Conversation(
        fake_engines(**parts), DialogueSettings(unready_silence_ms=0), "s", [log], reply_options=reply_options
    )


def now() -> float:
    return asyncio.get_running_loop().time()


def listen(events: list[Event]) -> np.ndarray[Any, np.dtype[np.int16]]:
    """The reply as a client hears it that stops at `ReplyPaused` and goes on at `ReplyResumed`."""
    heard = np.zeros(0, dtype=np.int16)
    for event in events:
        if isinstance(event, ReplyPaused):
            heard = heard[: round(event.heard_ms * 24)]
        elif isinstance(event, ReplyAudio):
            assert round(event.start_ms * 24) == len(heard)
            heard = np.concatenate((heard, event.pcm))
    return heard


@virtually
async def test_silence_within_200_ms_of_speech() -> None:
    log = EventLog()
    async with talking(log) as c:
        c.send_text("天氣")
        await play(c, silence(2500))
        spoke_at = now()
        await play(c, said("等一下我想問別的"), silence(1500))
        held = log.one(ReplyPaused)
        assert held.at - spoke_at <= 0.2
        assert not [e for e in log.of(ReplyAudio) if e.reply == "reply_1" and e.at >= held.at]
        await c.wait_idle()
    assert log.one(ReplyInterrupted).reason == "barge_in"
    assert log.one(ReplyInterrupted).at - spoke_at <= 0.75
    assert log.one(ReplyInterrupted).heard_ms == log.one(ReplyPaused).heard_ms
    assert log.one(FinalTranscript).text == "等一下我想問別的"


@virtually
async def test_the_history_keeps_what_was_heard_only() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY, first_token_s=0.05, token_s=0.01)
    async with talking(log, language_model=model) as c:
        c.send_text("天氣")
        await play(c, silence(2500), said("等一下我想問別的"), silence(1500))
        await c.wait_idle()
    heard = log.one(ReplyInterrupted).heard_text
    assert REPLY.startswith(heard)
    assert 5 < len(heard) < 15
    assert model.requests[-1].messages[1:] == (
        Message(role="user", content="天氣"),
        Message(role="assistant", content=heard.strip()),
        Message(role="user", content="等一下我想問別的"),
    )


@pytest.mark.parametrize("words", ["嗯", "對", "好", "嗯嗯"])
def test_a_backchannel_does_not_interrupt(words: str) -> None:
    @virtually
    async def scenario() -> None:
        log = EventLog()
        async with talking(log, recognizer=FakeRecognizer(words)) as c:
            c.send_text("天氣")
            await play(c, silence(2500), said(words), silence(1500))
            await c.wait_idle()
        assert not log.of(ReplyInterrupted)
        assert len(log.of(SpeechRejected)) == len(log.of(ReplyResumed)) == 1
        assert not log.of(TurnEnded)
        voice = FakeSynthesizer()
        whole = np.concatenate([voice.audio(t) for t in (REPLY[:6], REPLY[6:17], REPLY[17:])])
        assert np.array_equal(listen(log.events), whole)

    scenario()


@virtually
async def test_a_backchannel_understood_late_resumes_where_it_stopped() -> None:
    log = EventLog()
    async with talking(log, recognizer=FakeRecognizer("對對對。", delay_s=1.5), captioner=None) as c:
        c.send_text("天氣")
        await play(c, silence(2500), noise(300), silence(3000))
        await c.wait_idle()
    held, resumed = log.one(ReplyPaused), log.one(ReplyResumed)
    assert resumed.heard_ms == pytest.approx(held.heard_ms)
    assert log.one(SpeechRejected).text == "對對對。"
    assert [e.text for e in log.of(ReplyFinished)] == [REPLY]
    assert len(listen(log.events)) == round(len(REPLY) * 0.2 * 24_000)


@virtually
async def test_a_short_backchannel_resumes_after_little_silence() -> None:
    log = EventLog()
    async with talking(log) as c:
        c.send_text("天氣")
        await play(c, silence(2500))
        spoke_at = now()
        await play(c, said("嗯"), silence(1500))
        await c.wait_idle()
    recognised_s = 0.1
    assert log.one(ReplyResumed).at - spoke_at <= 0.16 + 0.4 + recognised_s + 0.1


@pytest.mark.parametrize("ms", [140, 250, 450])
def test_a_cough_does_not_interrupt(ms: int) -> None:
    @virtually
    async def scenario() -> None:
        log = EventLog()
        async with talking(log) as c:
            c.send_text("天氣")
            await play(c, silence(2500), noise(ms), silence(2000))
            await c.wait_idle()
            assert c.turn == 1
        assert log.one(SpeechRejected).text == ""
        assert not log.of(ReplyInterrupted)
        assert [e.text for e in log.of(ReplyFinished)] == [REPLY]

    scenario()


@virtually
async def test_a_click_is_not_even_noticed() -> None:
    log = EventLog()
    async with talking(log) as c:
        c.send_text("天氣")
        await play(c, silence(2500), noise(80), silence(1000))
        await c.wait_idle()
    assert not log.of(ReplyPaused)


@virtually
async def test_short_words_that_mean_something_interrupt() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY, first_token_s=0.05, token_s=0.01)
    async with talking(log, captioner=None, language_model=model) as c:
        c.send_text("天氣")
        await play(c, silence(2500), said("不對"), silence(2000))
        await c.wait_idle()
    assert log.one(ReplyInterrupted).heard_ms == log.one(ReplyPaused).heard_ms
    assert log.one(TurnEnded).turn == 2
    assert model.requests[-1].messages[-1].content == "不對"


@virtually
async def test_long_sound_interrupts_whatever_it_is() -> None:
    log = EventLog()
    async with talking(log, captioner=None) as c:
        c.send_text("天氣")
        await play(c, silence(2500))
        spoke_at = now()
        await play(c, noise(900), silence(200))
        assert log.one(ReplyInterrupted).at - spoke_at <= 0.7
        await play(c, silence(1500))
        await c.wait_idle()


@virtually
async def test_a_recogniser_that_fails_over_the_reply_lets_it_go_on() -> None:
    log = EventLog()
    recognizer = FakeRecognizer(failure=EngineError("broken"))
    async with talking(log, recognizer=recognizer, captioner=None) as c:
        c.send_text("天氣")
        await play(c, silence(2500), noise(300), silence(2000))
        await c.wait_idle()
    assert log.of(ReplyResumed)
    assert not log.of(ReplyInterrupted)


@virtually
async def test_speaking_again_before_the_verdict_is_an_interruption() -> None:
    log = EventLog()
    async with talking(log, recognizer=FakeRecognizer(delay_s=3.0), captioner=None) as c:
        c.send_text("天氣")
        await play(c, silence(2500), said("欸那"), silence(1000), said("我要問"), silence(2000))
        await c.wait_idle()
    assert [e.turn for e in log.of(TurnEnded)] == [2, 3]
    assert log.of(ReplyInterrupted)[0].turn == 1
    assert [e.text for e in log.of(FinalTranscript)] == ["欸那", "我要問"]
    assert log.of(ReplyFinished)[-1].turn == 3


@virtually
async def test_no_chunk_of_an_old_turn_comes_out_late() -> None:
    log = EventLog()
    voice = FakeSynthesizer(pieces=8, piece_delay_s=0.2)
    async with talking(log, synthesizer=voice) as c:
        c.send_text("天氣")
        await play(c, silence(1000), said("等一下我想問別的"), silence(2000))
        await c.wait_idle()
    over = log.one(ReplyInterrupted)
    after = log.events[log.events.index(over) + 1 :]
    assert not [e for e in after if getattr(e, "reply", "") == "reply_1"]
    assert voice.closed == len(voice.requests)


@virtually
async def test_a_reply_that_may_not_be_interrupted() -> None:
    log = EventLog()
    async with talking(log, reply_options=ReplyOptions(interrupt=False)) as c:
        c.send_text("天氣")
        await play(c, silence(2500), said("等一下我想問別的"), silence(1500))
        await c.wait_idle()
    assert not log.of(ReplyPaused)
    assert not log.of(ReplyInterrupted)
    assert [e.turn for e in log.of(ReplyFinished)] == [1, 2]
    first_end = max(e.at for e in log.of(ReplyAudio) if e.turn == 1)
    assert min(e.at for e in log.of(ReplyAudio) if e.turn == 2) > first_end + 2.0


@virtually
async def test_cancel_while_it_is_found_out() -> None:
    log = EventLog()
    async with talking(log, recognizer=FakeRecognizer("好", delay_s=1.0), captioner=None) as c:
        c.send_text("天氣")
        await play(c, silence(2500), noise(300), silence(400))
        c.cancel_reply()
        await play(c, silence(3000))
        await c.wait_idle()
    assert log.one(ReplyInterrupted).reason == "cancelled"
    assert [e.turn for e in log.of(TurnEnded)] == [2]  # with no reply to be a backchannel to, it is an answer
    assert log.one(FinalTranscript).text == "好"


@virtually
async def test_commit_over_the_reply_is_a_turn_whatever_was_said() -> None:
    log = EventLog()
    async with talking(log, recognizer=FakeRecognizer("好", delay_s=1.0), captioner=None) as c:
        c.send_text("天氣")
        await play(c, silence(2500), noise(300))
        assert c.commit()
        await c.wait_idle()
    assert log.one(TurnEnded).reason == "committed"
    assert log.one(ReplyInterrupted).turn == 1


@virtually
async def test_clear_over_the_reply_lets_it_go_on() -> None:
    log = EventLog()
    async with talking(log) as c:
        c.send_text("天氣")
        await play(c, silence(2500), noise(300))
        c.clear()
        await c.wait_idle()
    assert log.of(ReplyResumed)
    assert log.one(ReplyFinished).text == REPLY


@virtually
async def test_what_the_client_played_counts_while_held() -> None:
    log = EventLog()
    async with talking(log) as c:
        c.send_text("天氣")
        await play(c, silence(2500), noise(200))
        c.report_playback(400.0)
        await play(c, silence(1500))
        await c.wait_idle()
    assert log.one(ReplyResumed).heard_ms == pytest.approx(400.0)
    resumed = log.one(ReplyResumed)
    audio = next(e for e in log.events[log.events.index(resumed) :] if isinstance(e, ReplyAudio))
    assert audio.start_ms == pytest.approx(400.0)


@virtually
async def test_a_cough_while_thinking_delays_nothing_but_the_sound() -> None:
    log = EventLog()
    model = FakeLanguageModel(REPLY, first_token_s=1.0)
    async with talking(log, language_model=model) as c:
        c.send_text("天氣")
        await play(c, silence(300), noise(250), silence(3000))
        await c.wait_idle()
    assert not log.of(ReplyPaused)  # nothing had come out yet
    assert log.one(SpeechRejected).turn == 2
    assert [e.state for e in log.of(StateChanged)] == ["thinking", "speaking", "listening"]
    assert log.one(ReplyFinished).text == REPLY


@virtually
async def test_words_that_could_not_be_recognised_are_no_backchannel() -> None:
    log, recognizer = EventLog(), FakeRecognizer(failure=EngineError("broken"))
    parts: dict[str, Any] = {"recognizer": recognizer, "captioner": None}
    async with talking(log, reply_options=ReplyOptions(interrupt=False), **parts) as c:
        c.send_text("天氣")
        await play(c, silence(1500), said("那明天的交通怎麼樣"), silence(1500))
        await c.wait_idle()
    assert not log.of(SpeechRejected)
    assert log.one(TurnFailed).stage == "recognition"
    assert [e.turn for e in log.of(ReplyFinished)] == [1, 2]
    first, second = ([e for e in log.of(ReplyAudio) if e.turn == turn] for turn in (1, 2))
    assert second[0].at >= first[0].at + sum(len(e.pcm) for e in first) / 24_000  # the apology waits too


@virtually
async def test_a_reply_held_when_interrupting_is_switched_off_goes_on() -> None:
    log = EventLog()
    async with talking(log, captioner=None) as c:
        c.send_text("天氣")
        await play(c, silence(2000), said("不對"))
        assert log.of(ReplyPaused)
        c.reply_options = ReplyOptions(interrupt=False)
        await play(c, silence(2500))
        await asyncio.wait_for(c.wait_idle(), 60.0)
    assert [e.turn for e in log.of(ReplyFinished)][-1] == 2
    assert len(log.of(ReplyPaused)) == len(log.of(ReplyResumed)) + len(log.of(ReplyInterrupted))


@virtually
async def test_two_replies_are_never_heard_at_once() -> None:
    log = EventLog()
    async with talking(log, reply_options=ReplyOptions(interrupt=False)) as c:
        c.send_text("天氣")
        await play(c, silence(1500), said("那明天的交通怎麼樣"), silence(300))
        c.send_text("新聞")
        await play(c, silence(2500))
        await c.wait_idle()
    ends = [e.at + len(e.pcm) / e.rate for e in log.of(ReplyAudio) if e.turn == 3]
    assert min(e.at for e in log.of(ReplyAudio) if e.turn == 2) >= max(ends)
