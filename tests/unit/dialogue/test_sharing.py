"""Several conversations on the same cores."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import FinalTranscript, ReplyAudio, TurnEnded, TurnFailed
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Priority, STTChunk, STTReq, Ticket, TTSReq
from kuaimei.settings import DialogueSettings
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
from tests.support.virtual_time import virtually


@dataclass
class Busy:
    """Somebody who never stops asking for the cores, always for something live."""

    scheduler: Scheduler
    session: str

    async def keep(self, for_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + for_s
        while loop.time() < until:
            async with self.scheduler.acquire(Ticket(session=self.session, priority=Priority.LIVE), 2):
                await asyncio.sleep(0.2)


def sharing(scheduler: Scheduler) -> tuple[FakeRecognizer, FakeSynthesizer]:
    class Recognizer(FakeRecognizer):
        async def transcribe(self, pcm: Pcm, req: STTReq) -> STTChunk:
            async with scheduler.acquire(req.ticket, 2):
                return await super().transcribe(pcm, req)

    class Synthesizer(FakeSynthesizer):
        async def stream(self, req: TTSReq) -> AsyncIterator[Pcm]:
            async with scheduler.acquire(req.ticket, 2):
                async for pcm in FakeSynthesizer.stream(self, req):
                    yield pcm

    return Recognizer(delay_s=0.2), Synthesizer(delay_s=0.2)


@virtually
async def test_a_turn_that_became_certain_is_served_in_turn_with_others() -> None:
    scheduler, log = Scheduler("cores", 2), EventLog()
    recognizer, synthesizer = sharing(scheduler)
    model = FakeLanguageModel("好的。", first_token_s=0.05)
    engines = fake_engines(recognizer=recognizer, synthesizer=synthesizer, language_model=model)
    async with Conversation(engines, DialogueSettings(), "s", [log]) as talk:
        others = [asyncio.ensure_future(Busy(scheduler, name).keep(12.0)) for name in ("a", "b")]
        await play(talk, said("今天天氣"), silence(8000))
        ended = log.one(TurnEnded)
        assert log.of(ReplyAudio)[0].at - ended.at < 1.5
        assert not log.of(TurnFailed)
        await asyncio.gather(*others)
        await talk.wait_idle()


@virtually
async def test_pieces_of_a_long_utterance_are_waited_for_like_its_end() -> None:
    scheduler, log = Scheduler("cores", 2), EventLog()
    recognizer, synthesizer = sharing(scheduler)
    engines = fake_engines(recognizer=recognizer, synthesizer=synthesizer)
    async with Conversation(engines, DialogueSettings(), "s", [log]) as talk:
        others = [asyncio.ensure_future(Busy(scheduler, name).keep(30.0)) for name in ("a", "b")]
        await play(talk, said("一" * 50), silence(150), said("二" * 20), silence(8000))
        ended = log.one(TurnEnded)
        assert log.one(FinalTranscript).at - ended.at < 1.5
        assert log.one(FinalTranscript).text == "一" * 50 + "二" * 20
        await asyncio.gather(*others)
        await talk.wait_idle()


@virtually
async def test_a_piece_that_nobody_waits_for_yet_may_wait_itself() -> None:
    scheduler, log = Scheduler("cores", 2), EventLog()
    recognizer, synthesizer = sharing(scheduler)
    engines = fake_engines(recognizer=recognizer, synthesizer=synthesizer)
    async with Conversation(engines, DialogueSettings(), "s", [log]) as talk:
        others = [asyncio.ensure_future(Busy(scheduler, name).keep(26.0)) for name in ("a", "b")]
        await play(talk, said("一" * 50), silence(150), said("二" * 110), silence(5000))
        await asyncio.gather(*others)
        await talk.wait_idle()
    assert log.one(FinalTranscript).text == "一" * 50 + "二" * 110


@virtually
async def test_who_waits_for_pieces_does_not_wait_for_ever() -> None:
    log, recognizer = EventLog(), FakeRecognizer(hangs=True)
    async with Conversation(fake_engines(recognizer=recognizer), DialogueSettings(), "s", [log]) as talk:
        await play(talk, said("一" * 50), silence(150), said("二" * 20), silence(20_000))
        assert log.one(TurnFailed).at - log.one(TurnEnded).at < 15.0
        await talk.wait_idle()
        assert len(asyncio.all_tasks()) == 1  # and nothing of it occupies the recogniser any longer
