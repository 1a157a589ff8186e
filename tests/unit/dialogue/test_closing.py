import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest

from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import ReplyInterrupted, SpeechRejected, TurnEnded
from kuaimei.dialogue.speech_output import SpeechOutput
from kuaimei.dialogue.turn import Turn
from kuaimei.dialogue.utterance import Utterance
from kuaimei.settings import DialogueSettings
from tests.support.fakes import (
    EventLog,
    FakeCaptioner,
    FakeCaptionStream,
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


async def _nothing(c: Conversation) -> None:
    pass


async def _listening(c: Conversation) -> None:
    await play(c, said("今天天氣"))


async def _guessing(c: Conversation) -> None:
    await play(c, said("今天天氣"), silence(400))


async def _recognising(c: Conversation) -> None:
    await play(c, said("今天天氣"), silence(1050))
    assert c.state == "thinking"


async def _thinking(c: Conversation) -> None:
    c.send_text("天氣")
    await asyncio.sleep(0.1)
    assert c.state == "thinking"


async def _synthesising(c: Conversation) -> None:
    c.send_text("天氣")
    await asyncio.sleep(0.5)


async def _speaking(c: Conversation) -> None:
    c.send_text("天氣")
    await asyncio.sleep(2.0)
    assert c.state == "speaking"


async def _playing_out(c: Conversation) -> None:
    c.send_text("天氣")
    await asyncio.sleep(4.0)
    assert c.state == "speaking"


async def _held(c: Conversation) -> None:
    await _speaking(c)
    await play(c, noise(200))


async def _undecided(c: Conversation) -> None:
    await _speaking(c)
    await play(c, noise(300), silence(720))


async def _warming(c: Conversation) -> None:
    await play(c, said("今"))


SCENES = [
    _nothing,
    _listening,
    _guessing,
    _recognising,
    _thinking,
    _synthesising,
    _speaking,
    _playing_out,
    _held,
    _undecided,
    _warming,
]


@pytest.mark.parametrize("shares_cores", [True, False])
@pytest.mark.parametrize("scene", SCENES)
def test_closing_in_any_state_leaves_nothing(
    scene: Callable[[Conversation], Awaitable[None]], shares_cores: bool
) -> None:
    @virtually
    async def scenario() -> None:
        log, captioner, voice = EventLog(), FakeCaptioner(delay_s=0.1), FakeSynthesizer()
        model = FakeLanguageModel(REPLY, shares_cores=shares_cores)
        engines = fake_engines(
            recognizer=FakeRecognizer(delay_s=2.0),
            language_model=model,
            captioner=captioner,
            synthesizer=voice,
            turn_detector=FakeTurnDetector(0.4),
        )
        async with Conversation(engines, DialogueSettings(), "s", [log]) as c:
            await scene(c)
            answering = bool(c._active_turns.answering)
            hearing = c._turn_taking.has_pending_speech
        assert len(log.of(ReplyInterrupted)) == answering
        assert all(e.reason == "closed" for e in log.of(ReplyInterrupted))
        assert [e.reason for e in log.of(TurnEnded)][-1:] == (["closed"] if hearing else [])[
            -1:
        ] or not hearing
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert model.opened == model.closed
        assert captioner.opened == captioner.closed
        assert voice.closed == len(voice.requests)
        count = len(log.events)
        c.push_audio(said("還有"))
        await c.close()
        await asyncio.sleep(20.0)
        assert len(log.events) == count

    scenario()


@virtually
async def test_what_was_being_said_ends_with_the_conversation() -> None:
    log = EventLog()
    async with Conversation(fake_engines(), DialogueSettings(), "s", [log]) as c:
        await play(c, silence(500), said("今天天氣"))
    assert log.one(TurnEnded).reason == "closed"
    assert log.one(TurnEnded).audio_ms == pytest.approx(1140, abs=32)
    assert not log.of(SpeechRejected)


@virtually
async def test_a_closed_conversation_says_so() -> None:
    c = Conversation(fake_engines(), DialogueSettings(), "s")
    await c.close()
    with pytest.raises(RuntimeError, match="closed"):
        c.send_text("喂")
    with pytest.raises(RuntimeError, match="closed"):
        c.generate_reply()
    assert not c.commit()
    await c.wait_idle()


@virtually
async def test_an_hour_of_turns_leaves_no_more_than_the_last() -> None:
    log, model = EventLog(), FakeLanguageModel(REPLY, token_s=0.0)
    gc.collect()
    before = {id(thing) for thing in gc.get_objects()}  # of other tests, if something holds it
    async with Conversation(fake_engines(language_model=model), DialogueSettings(), "s", [log]) as c:
        for number in range(60):
            await play(c, said("今天天氣"), silence(1500 + 100 * (number % 20)), packet_ms=100)
            if number % 3 == 0:
                c.send_text("算了")
        await c.wait_idle()
        log.events.clear()
        gc.collect()
        for kind, most in ((Turn, 1), (SpeechOutput, 1), (Utterance, 1), (FakeCaptionStream, 1)):
            left = [thing for thing in gc.get_objects() if type(thing) is kind]
            assert sum(id(thing) not in before for thing in left) <= most, kind
        assert not c._tasks._running
