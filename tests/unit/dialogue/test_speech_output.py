import asyncio

import numpy as np
import pytest

from kuaimei.dialogue.events import ClauseReady, ReplyAudio, ReplyPaused, ReplyResumed
from kuaimei.dialogue.speech_output import SpeechOutput, _text_within
from kuaimei.engines.types import Ticket, TTSReq
from kuaimei.errors import EngineError, EngineUnavailable
from kuaimei.settings import DialogueSettings
from tests.support.fakes import EventLog, FakeSynthesizer
from tests.support.virtual_time import START, virtually

CLAUSE = TTSReq(text="一二三四五")  # one second


def speaker(log: EventLog, voice: FakeSynthesizer | None = None, **settings: int) -> SpeechOutput:
    voice = voice or FakeSynthesizer()
    return SpeechOutput(voice, DialogueSettings(**settings), log, 7, "r")


@virtually
async def test_nothing_leaves_before_it_is_certain() -> None:
    log = EventLog()
    speaking = speaker(log)
    await speaking.synthesize_clause(CLAUSE)
    assert not log.of(ReplyAudio)
    assert not speaking.has_started
    speaking.release()
    audio = log.one(ReplyAudio)
    assert (audio.turn, audio.reply, audio.rate, audio.start_ms, len(audio.pcm)) == (
        7,
        "r",
        24000,
        0.0,
        24000,
    )
    ready = log.one(ClauseReady)
    assert (ready.index, ready.text, ready.start_ms) == (0, CLAUSE.text, 0.0)
    assert ready.synthesis_ms == pytest.approx(300)


@virtually
async def test_heard_is_what_time_has_played() -> None:
    log = EventLog()
    speaking = speaker(log)
    speaking.release()
    await speaking.synthesize_clause(CLAUSE)
    await speaking.synthesize_clause(TTSReq(text="六七八九十"))
    assert speaking.heard_ms == pytest.approx(300)
    await asyncio.sleep(0.5)
    assert speaking.heard_text == "一二三四"
    await asyncio.sleep(0.5)
    assert speaking.heard_text == "一二三四五六"
    await speaking.played_out()
    assert asyncio.get_running_loop().time() == pytest.approx(START + 0.3 + 2.0, abs=2e-3)
    assert speaking.heard_ms == pytest.approx(2000)
    assert speaking.heard_text == "一二三四五六七八九十"


@virtually
async def test_a_gap_between_clauses_is_not_heard() -> None:
    log = EventLog()
    speaking = speaker(log)
    speaking.release()
    await speaking.synthesize_clause(CLAUSE)
    await asyncio.sleep(5.0)
    assert speaking.heard_ms == pytest.approx(1000)
    await speaking.synthesize_clause(CLAUSE)
    await asyncio.sleep(0.5)
    assert speaking.heard_ms == pytest.approx(1500)


@virtually
async def test_hold_and_resume_lose_not_a_sample() -> None:
    log, voice = EventLog(), FakeSynthesizer(pieces=3, piece_delay_s=0.1)
    speaking = speaker(log, voice)
    speaking.release()
    await speaking.synthesize_clause(CLAUSE)
    await asyncio.sleep(0.2)
    speaking.pause()
    speaking.pause()
    held = log.one(ReplyPaused)
    count = len(log.of(ReplyAudio))
    await speaking.synthesize_clause(TTSReq(text="六七"))  # made meanwhile, and kept
    await asyncio.sleep(9.0)
    assert len(log.of(ReplyAudio)) == count
    assert speaking.heard_ms == held.heard_ms
    speaking.resume()
    assert log.one(ReplyResumed).heard_ms == held.heard_ms
    rest = log.of(ReplyAudio)[-1]
    whole = np.concatenate((voice.audio(CLAUSE.text), voice.audio("六七")))
    assert np.array_equal(rest.pcm, whole[round(held.heard_ms * 24) :])
    await speaking.played_out()


@virtually
async def test_stopped_for_good() -> None:
    log = EventLog()
    speaking = speaker(log)
    speaking.release()
    await speaking.synthesize_clause(CLAUSE)
    await asyncio.sleep(0.4)
    speaking.stop()
    await speaking.played_out()
    await speaking.synthesize_clause(CLAUSE)
    await asyncio.sleep(9.0)
    assert len(log.of(ReplyAudio)) == 1
    assert speaking.heard_ms == pytest.approx(400)
    assert speaking.heard_text == "一二"
    speaking.report_playback(800.0)
    assert speaking.heard_text == "一二三四"
    speaking.report_playback(1e9)
    assert speaking.heard_ms == pytest.approx(1000)  # more than that was never handed over


@virtually
async def test_the_clause_being_made_counts_in_proportion() -> None:
    log, voice = EventLog(), FakeSynthesizer(pieces=4, piece_delay_s=2.0)
    speaking = speaker(log, voice)
    speaking.release()
    saying = asyncio.ensure_future(speaking.synthesize_clause(CLAUSE))
    await asyncio.sleep(1.5)
    assert speaking.heard_ms == pytest.approx(250)
    assert speaking.heard_text == "一"  # a quarter of the clause, not the whole because no more is made
    saying.cancel()
    await asyncio.gather(saying, return_exceptions=True)
    assert speaking.heard_text == "一"
    assert voice.closed == 1


@virtually
async def test_it_is_not_too_far_ahead_of_the_listener() -> None:
    log = EventLog()
    speaking = speaker(log, speech_lead_ms=2500)
    speaking.release()
    for _ in range(8):
        await speaking.synthesize_clause(CLAUSE)
        assert speaking.audio_ms - speaking.heard_ms <= 3500
    speaking.pause()
    waiting = asyncio.ensure_future(speaking.synthesize_clause(CLAUSE))
    await asyncio.sleep(30.0)
    speaking.resume()
    await waiting
    await speaking.played_out()


@virtually
async def test_a_voice_that_hangs_or_fails() -> None:
    log, voice = EventLog(), FakeSynthesizer(hangs=True)
    speaking = speaker(log, voice)
    speaking.release()
    with pytest.raises(EngineUnavailable, match="did not finish within 15 s"):
        await speaking.synthesize_clause(CLAUSE)
    voice.hangs, voice.failure = False, EngineError("broken")
    with pytest.raises(EngineError, match="broken"):
        await speaking.synthesize_clause(CLAUSE)
    assert voice.closed == 2
    assert not log.events
    await speaking.played_out()


@virtually
async def test_an_aside_is_heard_but_not_part_of_the_reply() -> None:
    log = EventLog()
    speaking = speaker(log)
    speaking.release()
    await speaking.synthesize_clause(CLAUSE)
    await speaking.synthesize_clause(TTSReq(text="抱歉"), aside=True)
    await speaking.played_out()
    assert speaking.heard_text == CLAUSE.text
    assert [e.text for e in log.of(ClauseReady)] == [CLAUSE.text, "抱歉"]


def test_latin_words_stay_whole() -> None:
    assert _text_within("我用 Python 寫", 0.5) == "我用 "
    assert _text_within("我用 Python 寫", 0.95) == "我用 Python "
    assert _text_within("hello", 0.99) == ""
    assert _text_within("你好", 1.0) == "你好"


@virtually
async def test_waiting_for_the_listener_does_not_count_against_the_synthesiser() -> None:
    log, voice = EventLog(), FakeSynthesizer()
    speaking = speaker(log, voice, speech_lead_ms=500)
    speaking.release()
    await speaking.synthesize_clause(CLAUSE)
    speaking.pause()
    loop = asyncio.get_running_loop()
    late = CLAUSE.model_copy(update={"ticket": Ticket(deadline=loop.time() + 15.0)})
    waiting = asyncio.ensure_future(speaking.synthesize_clause(late))
    await asyncio.sleep(20.0)
    speaking.resume()
    await waiting
    assert voice.requests[-1].ticket.deadline is not None
    assert voice.requests[-1].ticket.deadline > loop.time() + 10.0


@virtually
async def test_what_was_said_is_not_kept_once_it_is_over() -> None:
    speaking = speaker(EventLog())
    speaking.release()
    await speaking.synthesize_clause(CLAUSE)
    speaking.stop()
    assert not speaking._pcm
    assert speaking.audio_ms == pytest.approx(1000)
