import asyncio
from typing import Any

import pytest

from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.error_phrases import apology
from kuaimei.dialogue.events import (
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyStarted,
    SpeechRejected,
    TurnFailed,
    TurnMetrics,
)
from kuaimei.dialogue.turn import ReplyOptions
from kuaimei.engines.types import TTSReq
from kuaimei.errors import EngineError, QueueFull
from kuaimei.settings import DialogueSettings
from tests.support.fakes import (
    EventLog,
    FakeCaptioner,
    FakeLanguageModel,
    FakeRecognizer,
    FakeSynthesizer,
    FakeTurnDetector,
    fake_engines,
    noise,
    play,
    said,
    silence,
)
from tests.support.virtual_time import virtually
from tests.unit.dialogue.conversing import REPLY


async def a_turn_works(c: Conversation, log: EventLog) -> None:
    """The next turn is as if nothing had happened."""
    log.events.clear()
    await play(c, said("今天天氣"), silence(1000))
    await c.wait_idle()
    assert log.one(FinalTranscript).text == "今天天氣"
    assert log.one(ReplyFinished).text == REPLY
    assert not log.of(TurnFailed)
    assert sum(len(e.pcm) for e in log.of(ReplyAudio)) == round(len(REPLY) * 0.2 * 24_000)


def talk(log: EventLog, **parts: Any) -> Conversation:
    parts.setdefault("language_model", FakeLanguageModel(REPLY))
    reply_options = parts.pop("reply_options", ReplyOptions())
    return Conversation(
        fake_engines(**parts), DialogueSettings(unready_silence_ms=0), "s", [log], reply_options=reply_options
    )


def spoken(voice: FakeSynthesizer) -> str:
    return "".join(r.text for r in voice.requests)


@pytest.mark.parametrize("shares_cores", [True, False])
def test_a_model_that_hangs(shares_cores: bool) -> None:
    @virtually
    async def scenario() -> None:
        log, voice = EventLog(), FakeSynthesizer()
        model = FakeLanguageModel(REPLY, hangs_after=0, shares_cores=shares_cores)
        async with talk(log, language_model=model, synthesizer=voice) as c:
            await play(c, said("今天天氣"), silence(1000))
            await c.wait_idle()
            failed = log.one(TurnFailed)
            assert (failed.stage, failed.kind) == ("thinking", "unavailable")
            assert "produced nothing for 10 s" in failed.message
            assert log.one(ReplyFinished).text == failed.apology == apology("thinking", "zh")
            assert spoken(voice) == failed.apology
            assert log.one(TurnMetrics).timing.first_token_ms is None
            assert model.closed == model.opened
            model.hangs_after = None
            await a_turn_works(c, log)

    scenario()


@pytest.mark.parametrize("shares_cores", [True, False])
def test_a_model_that_fails_in_the_middle(shares_cores: bool) -> None:
    @virtually
    async def scenario() -> None:
        log, voice = EventLog(), FakeSynthesizer()
        model = FakeLanguageModel(REPLY, shares_cores=shares_cores)
        model.failure, model.fails_after = EngineError("out of memory"), 4
        async with talk(log, language_model=model, synthesizer=voice) as c:
            await play(c, said("今天天氣"), silence(1000))
            await c.wait_idle()
            failed = log.one(TurnFailed)
            assert (failed.stage, failed.kind, failed.message) == ("thinking", "engine", "out of memory")
            assert log.one(ReplyFinished).text.endswith(failed.apology)
            written = log.one(ReplyFinished).text.removesuffix(failed.apology)
            assert REPLY.startswith(written)
            assert spoken(voice) == written + failed.apology  # what can be read can be heard
            model.failure = None
            await a_turn_works(c, log)
            heard = [m.content for m in model.requests[-1].messages[1:]]
            assert heard[1] == written  # the apology is no part of what was answered

    scenario()


@virtually
async def test_a_model_that_writes_nothing() -> None:
    log, model = EventLog(), FakeLanguageModel("")
    async with talk(log, language_model=model) as c:
        c.send_text("天氣")
        await c.wait_idle()
        assert (log.one(TurnFailed).stage, log.one(TurnFailed).kind) == ("thinking", "empty")
        model.reply = REPLY
        await a_turn_works(c, log)


@virtually
async def test_a_model_with_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY, failure=ZeroDivisionError("oops"))
    async with talk(log, language_model=model) as c:
        c.send_text("天氣")
        await c.wait_idle()
        assert log.one(TurnFailed).message == "the engine failed (ZeroDivisionError); see the server log"
        model.failure = None
        await a_turn_works(c, log)
    assert "unexpected exception" in caplog.text


@virtually
async def test_a_voice_that_fails_goes_on_in_writing() -> None:
    log, voice = EventLog(), FakeSynthesizer(failure=EngineError("no such voice"))
    async with talk(log, synthesizer=voice) as c:
        await play(c, said("今天天氣"), silence(1000))
        await c.wait_idle()
        failed = log.one(TurnFailed)
        assert (failed.stage, failed.kind) == ("synthesis", "engine")
        assert failed.apology == apology("synthesis", "zh")
        assert log.one(ReplyFinished).text == REPLY
        assert len(voice.requests) == 1
        voice.failure = None
        await a_turn_works(c, log)


@virtually
async def test_a_voice_that_is_deleted_in_the_middle_of_a_reply() -> None:
    log, voice = EventLog(), FakeSynthesizer(voices=("fake_one", "hers"))

    def deleted(req: TTSReq) -> None:
        voice.voices = ("fake_one",)

    voice.failure = deleted
    async with talk(log, synthesizer=voice, reply_options=ReplyOptions(voice="hers")) as c:
        c.send_text("天氣")
        await c.wait_idle()
        assert not log.of(TurnFailed)
        assert [r.voice_id for r in voice.requests] == ["hers", "fake_one", "fake_one"]
        assert log.one(ReplyFinished).text == REPLY


@virtually
async def test_a_voice_that_hangs() -> None:
    log, voice = EventLog(), FakeSynthesizer(hangs=True)
    async with talk(log, synthesizer=voice) as c:
        c.send_text("天氣")
        await c.wait_idle()
        assert log.one(TurnFailed).kind == "unavailable"
        assert log.one(ReplyFinished).text == REPLY
        assert voice.closed == 1
        voice.hangs = False
        await a_turn_works(c, log)


@virtually
async def test_model_and_voice_fail_together() -> None:
    log, voice = EventLog(), FakeSynthesizer(failure=ValueError("broken"))
    model = FakeLanguageModel(REPLY, failure=QueueFull("llm: no place"))
    async with talk(log, synthesizer=voice, language_model=model) as c:
        c.send_text("天氣")
        await c.wait_idle()
        assert [e.stage for e in log.of(TurnFailed)] == ["thinking", "synthesis"]
        assert log.of(TurnFailed)[0].kind == "queue_full"
        assert log.one(ReplyFinished).text == apology("thinking", None)
        voice.failure = model.failure = None
        await a_turn_works(c, log)


@virtually
async def test_a_recogniser_that_understands_nothing() -> None:
    log, voice, recognizer = EventLog(), FakeSynthesizer(), FakeRecognizer("")
    async with talk(log, recognizer=recognizer, synthesizer=voice) as c:
        await play(c, noise(1500), silence(1000))
        await c.wait_idle()
        failed = log.one(TurnFailed)
        assert (failed.stage, failed.kind) == ("listening", "empty")
        assert spoken(voice) == failed.apology == log.one(ReplyFinished).text
        assert not log.of(FinalTranscript)
        recognizer.text = None
        await a_turn_works(c, log)


@virtually
async def test_a_brief_noise_needs_no_apology() -> None:
    log = EventLog()
    async with talk(log) as c:
        await play(c, noise(350), silence(1500))
        await c.wait_idle()
        assert log.names()[-1] == "SpeechRejected"
        assert not log.of(TurnFailed)
        await a_turn_works(c, log)


@pytest.mark.parametrize("error", [EngineError("broken"), ValueError("a bug")])
def test_a_recogniser_that_fails(error: Exception) -> None:
    @virtually
    async def scenario() -> None:
        log, voice, recognizer = EventLog(), FakeSynthesizer(), FakeRecognizer(failure=error)
        async with talk(log, recognizer=recognizer, synthesizer=voice) as c:
            await play(c, said("今天"), silence(1000))
            await c.wait_idle()
            failed = log.one(TurnFailed)
            assert (failed.stage, failed.kind) == ("recognition", "engine")
            assert spoken(voice) == failed.apology
            recognizer.failure = None
            await a_turn_works(c, log)

    scenario()


@virtually
async def test_a_recogniser_that_hangs() -> None:
    log, recognizer = EventLog(), FakeRecognizer(hangs=True)
    async with talk(log, recognizer=recognizer) as c:
        await play(c, said("今天天氣"), silence(1000))
        await c.wait_idle()
        assert log.one(TurnFailed).message == "recognition did not finish within 15 s"
        recognizer.hangs = False
        await a_turn_works(c, log)


@virtually
async def test_apologies_are_written_where_nothing_is_spoken() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY, failure=EngineError("broken"))
    async with talk(log, language_model=model, reply_options=ReplyOptions(speak=False)) as c:
        c.send_text("天氣")
        await c.wait_idle()
    assert log.one(ReplyFinished).text == apology("thinking", None)
    assert not log.of(ReplyAudio)


@virtually
async def test_nothing_is_said_where_nothing_was_asked() -> None:
    log = EventLog()
    async with talk(log, recognizer=FakeRecognizer(""), reply_options=ReplyOptions(reply=False)) as c:
        await play(c, noise(1500), silence(1000))
        await c.wait_idle()
    assert log.one(TurnFailed).stage == "listening"
    assert not log.of(ReplyStarted)
    assert log.one(TurnMetrics).timing.first_audio_ms is None


@virtually
async def test_captions_and_turn_detection_are_a_courtesy(caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog()
    captioner = FakeCaptioner(failure=EngineError("captions broke"))
    detector = FakeTurnDetector(failure=RuntimeError("detector broke"))
    async with talk(log, captioner=captioner, turn_detector=detector) as c:
        await a_turn_works(c, log)
    assert captioner.closed == captioner.opened
    assert "captions failed" in caplog.text
    assert "turn detection failed" in caplog.text


@virtually
async def test_an_apology_is_in_the_language_last_spoken() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY, failure=EngineError("broken"))
    recognizer = FakeRecognizer("what is the weather", language="en")
    async with talk(log, language_model=model, recognizer=recognizer) as c:
        await play(c, noise(1000), silence(1000))
        await c.wait_idle()
    assert log.one(TurnFailed).apology == apology("thinking", "en")


@virtually
async def test_a_failed_turn_can_be_interrupted_too() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY, failure=EngineError("broken"))
    async with talk(log, language_model=model) as c:
        c.send_text("天氣")
        await asyncio.sleep(1.5)
        assert c.state == "speaking"
        model.failure = None
        await a_turn_works(c, log)


@virtually
async def test_noise_dropped_keeps_the_numbers_dense() -> None:
    log = EventLog()
    async with talk(log) as c:
        await play(c, noise(350), silence(1500), noise(100), silence(1500))
        assert len(log.of(SpeechRejected)) == 2
        await a_turn_works(c, log)
        assert c.turn == 1
