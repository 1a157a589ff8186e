"""Conversations that nobody wrote: whatever is said, typed, broken or called off, some things always hold.

Every script is thrown with dice of a fixed seed and played on virtual time. A seed that once showed a
mistake stays in `SEEDS`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.backchannel import is_backchannel
from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import (
    ClauseReady,
    Event,
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyInterrupted,
    ReplyPaused,
    ReplyResumed,
    ReplyStarted,
    ReplyText,
    SpeechAudio,
    SpeechRejected,
    SpeechStarted,
    StateChanged,
    TurnEnded,
    TurnFailed,
    UserText,
)
from kuaimei.dialogue.reply_options import ReplyOptions
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import LLMReq, STTChunk, STTReq, TTSReq
from kuaimei.errors import EngineError, QueueFull
from kuaimei.settings import DialogueSettings
from tests.support.fakes import (
    CHARACTER_MS,
    EventLog,
    FakeCaptioner,
    FakeLanguageModel,
    FakeRecognizer,
    FakeSynthesizer,
    FakeTurnDetector,
    LetterSignal,
    fake_engines,
    noise,
    play,
    said,
    silence,
)
from tests.support.virtual_time import virtually

SEEDS = (*range(60), 701)
REPLIES = (
    "今天是晴天，最高溫是二十八度左右，適合出門走走散散步。",
    "好的。",
    "是，我在聽，請說。你可以問我任何事情。",
)
WORDS = "天氣交通新聞音樂明早晚飯怎麼樣問題想知道為什麼"
BACKCHANNELS = ("嗯", "對", "好", "嗯嗯", "對啊")


@dataclass
class QueuedRecognizer(FakeRecognizer):
    scheduler: Scheduler = field(default_factory=lambda: Scheduler("cores", 2))

    async def transcribe(self, pcm: Pcm, req: STTReq) -> STTChunk:
        async with self.scheduler.acquire(req.ticket, 2):
            return await super().transcribe(pcm, req)


@dataclass
class QueuedLanguageModel(FakeLanguageModel):
    scheduler: Scheduler = field(default_factory=lambda: Scheduler("cores", 2))

    async def stream(self, req: LLMReq) -> AsyncIterator[str]:
        async with self.scheduler.acquire(req.ticket, 2):
            tokens: Any = super().stream(req)
            try:
                async for token in tokens:
                    yield token
            finally:
                await tokens.aclose()


@dataclass
class QueuedSynthesizer(FakeSynthesizer):
    scheduler: Scheduler = field(default_factory=lambda: Scheduler("cores", 2))

    async def stream(self, req: TTSReq) -> AsyncIterator[Pcm]:
        async with self.scheduler.acquire(req.ticket, 2):
            pieces: Any = super().stream(req)
            try:
                async for pcm in pieces:
                    yield pcm
            finally:
                await pieces.aclose()


class Script:
    """A conversation whose course the dice decide.

    Attributes:
        told: How often the client said how much it had played: then the history has its word for it.
        deaf: The recogniser understood nothing for a while: then pieces of an utterance may be missing.
        asked: Number of each turn for which a reply was asked for, and of the events before that.
        cleared: Turns whose words the client threw away.
    """

    def __init__(self, seed: int) -> None:
        self.dice = dice = random.Random(seed)
        self.log = EventLog()
        self.told = 0
        self.deaf = False
        self.asked: list[tuple[int, int]] = []
        self.cleared: set[int] = set()
        self.scheduler = Scheduler("cores", 2)
        self.recognizer = QueuedRecognizer(scheduler=self.scheduler, delay_s=dice.choice((0.1, 0.3, 1.2)))
        self.model = QueuedLanguageModel(
            lambda req: REPLIES[len(req.messages[-1].content) % len(REPLIES)],
            scheduler=self.scheduler if dice.random() < 0.7 else Scheduler("far", 8),
            first_token_s=dice.choice((0.05, 0.4)),
            token_s=dice.choice((0.0, 0.03)),
            token=dice.choice((1, 2, 50)),
        )
        self.model.shares_cores = self.model.scheduler is self.scheduler
        self.voice = QueuedSynthesizer(
            scheduler=self.scheduler,
            delay_s=dice.choice((0.05, 0.4)),
            pieces=dice.choice((1, 3)),
            piece_delay_s=0.05,
        )
        self.captioner = FakeCaptioner(delay_s=dice.choice((0.0, 0.02, 0.7)))
        engines = fake_engines(
            recognizer=self.recognizer,
            language_model=self.model,
            synthesizer=self.voice,
            captioner=dice.choice((self.captioner, None)),
            turn_detector=dice.choice((None, FakeTurnDetector(lambda pcm: dice.random()))),
        )
        settings = DialogueSettings(unready_silence_ms=dice.choice((0, 1000)))
        self.talk = Conversation(engines, settings, "s", [self.log])

    async def play(self) -> None:
        """Some of everything, then a turn in which nothing goes wrong."""
        async with self.talk as talk:
            for _ in range(self.dice.randint(10, 40)):
                await self.something()
            self._mend()
            talk.endpointing, talk.reply_options = True, ReplyOptions()
            await play(talk, silence(2500))
            await asyncio.wait_for(talk.wait_idle(), 120.0)
            before = len(self.log.events)
            await play(talk, said("現在一切都好嗎"), silence(2500))
            await asyncio.wait_for(talk.wait_idle(), 120.0)
            after = self.log.events[before:]
            assert [e.text for e in after if isinstance(e, FinalTranscript)] == ["現在一切都好嗎"]
            assert [e.text in REPLIES for e in after if isinstance(e, ReplyFinished)] == [True]
            assert not [e for e in after if isinstance(e, TurnFailed | ReplyInterrupted)]
            assert talk.state == "listening"

    async def something(self) -> None:
        """The next thing that happens."""
        dice, talk = self.dice, self.talk
        match dice.choice(
            ("speak",) * 6
            + ("small",) * 4
            + ("push",) * 2
            + ("wait",) * 3
            + ("act",) * 8
            + ("break", "break", "mend", "mend")
        ):
            case "speak":
                words = "".join(dice.choices(WORDS, k=dice.choice((2, 3, 6, 12, 30))))
                await play(talk, said(words), silence(dice.choice((0, 80, 160, 300, 500, 800, 1300, 3000))))
            case "small":
                words = dice.choice(BACKCHANNELS)
                sound = dice.choice((noise(dice.choice((40, 120, 250, 450, 900))), said(words)))
                await play(talk, sound, silence(dice.choice((100, 500, 900, 2000))), packet_ms=32)
            case "push":  # to talk
                if dice.random() < 0.5:
                    talk.reply_options = replace(talk.reply_options, reply=False)
                await play(talk, said("".join(dice.choices(WORDS, k=4))), silence(dice.choice((0, 300, 600))))
                if talk.commit() and dice.random() < 0.7:
                    self._ask(lambda: talk.generate_reply(ReplyOptions(voice="fake_two")))
            case "wait":
                await play(talk, silence(dice.choice((20, 200, 1000, 4000))), packet_ms=100)
            case "act":
                self._act()
            case "break":
                self._break()
            case "mend":
                self._mend()

    def _act(self) -> None:
        dice, talk = self.dice, self.talk
        match dice.choice(
            (
                "type",
                "type",
                "note",
                "respond",
                "cancel",
                "commit",
                "clear",
                "played",
                "reply_options",
                "reply",
                "ears",
                "burst",
            )
        ):
            case "type":
                self._ask(lambda: talk.send_text("".join(dice.choices(WORDS, k=4))))
            case "note":
                talk.send_text("".join(dice.choices(WORDS, k=3)), reply=False)
            case "respond":
                self._ask(
                    lambda: talk.generate_reply(
                        dice.choice((None, ReplyOptions(), ReplyOptions(speak=False)))
                    )
                )
            case "cancel":
                talk.cancel_reply()
            case "commit":
                if talk.commit() and dice.random() < 0.3:
                    self._ask(talk.generate_reply)
            case "clear":
                before = len(self.log.events)
                talk.clear()
                dropped = [e for e in self.log.events[before:] if isinstance(e, SpeechRejected)]
                self.cleared |= {self.log.events.index(e) for e in dropped}
            case "played":
                self.told += 1
                talk.report_playback(dice.random() * 3000.0)
            case "reply":
                talk.reply_options = replace(talk.reply_options, reply=not talk.reply_options.reply)
            case "reply_options":
                talk.reply_options = ReplyOptions(
                    speak=dice.random() < 0.8, reply=dice.random() < 0.8, interrupt=dice.random() < 0.7
                )
            case "ears":
                talk.endpointing = dice.random() < 0.6
            case "burst":  # all at once, as after a stall of the network
                talk.push_audio(
                    np.concatenate((said("還有這個"), silence(dice.choice((0, 300, 1200))), said("呢")))
                )

    def _ask(self, ask: Callable[[], int]) -> None:
        before = len(self.log.events)
        self.asked.append((before, ask()))

    def _break(self) -> None:
        error = self.dice.choice((EngineError("broken"), QueueFull("full"), ValueError("a bug")))
        match self.dice.choice(
            ("recognizer", "stall", "deaf", "model", "stuck", "voice", "mute", "captions")
        ):
            case "recognizer":
                self.recognizer.failure = error
            case "stall":
                self.recognizer.hangs = True
            case "deaf":
                self.recognizer.text, self.deaf = "", True
            case "model":
                self.model.failure, self.model.fails_after = error, self.dice.choice((0, 3))
            case "stuck":
                self.model.hangs_after = self.dice.choice((0, 4))
            case "voice":
                self.voice.failure = error
            case "mute":
                self.voice.hangs = True
            case "captions":
                self.captioner.failure = error

    def _mend(self) -> None:
        self.recognizer.failure = self.model.failure = self.voice.failure = self.captioner.failure = None
        self.recognizer.hangs = self.voice.hangs = False
        self.recognizer.text = self.model.hangs_after = None


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")

    @virtually
    async def scenario() -> None:
        script = Script(seed)
        await script.play()
        events = script.log.events
        states = [e.state for e in script.log.of(StateChanged)]
        assert all(a != b for a, b in pairwise(states))
        check_numbers(events)
        check_utterances(script)
        check_answers(script)
        for reply in {e.reply for e in events if isinstance(e, ReplyStarted | ReplyInterrupted)}:
            check_reply([e for e in events if getattr(e, "reply", "") == reply])
        if not script.told:
            check_one_voice(events)
        check_history(script)
        assert_closed(script)

    scenario()


def assert_closed(script: Script) -> None:
    """Nothing that was begun is left."""
    assert script.captioner.opened == script.captioner.closed
    assert script.model.opened == script.model.closed
    assert script.voice.closed == len(script.voice.requests)
    assert (script.scheduler.busy, script.scheduler.depth) == (0, 0)


def check_numbers(events: list[Event]) -> None:
    """Numbers rise, and no two turns have the same."""
    begun = [e.turn for e in events if isinstance(e, SpeechStarted | UserText)]
    assert all(b > a for a, b in pairwise(begun) if b != a)
    certain = [e.turn for e in events if isinstance(e, TurnEnded | UserText)]
    assert len(certain) == len(set(certain))


def check_utterances(script: Script) -> None:
    """One at a time, without gaps; each is dropped, or understood to the last word, or its failure told."""
    complete = not script.deaf
    started: SpeechStarted | None = None
    heard: list[Pcm] = []
    words: dict[int, str] = {}
    for number, event in enumerate(script.log.events):
        match event:
            case SpeechStarted():
                assert started is None
                started, heard = event, []
            case SpeechAudio(pcm=pcm):
                assert started is not None
                assert started.turn == event.turn
                heard.append(pcm)
            case SpeechRejected():
                assert started is not None
                assert started.turn == event.turn
                dropped = LetterSignal().hear(np.concatenate(heard))
                few = len(dropped) * CHARACTER_MS < script.talk.settings.barge_in_confirm_ms
                assert few or is_backchannel(dropped) or not complete or number in script.cleared
                started = None
            case TurnEnded():
                assert started is not None
                assert started.turn == event.turn
                length_ms = sum(map(len, heard)) / 16.0
                assert event.audio_ms - started.audio_ms == pytest.approx(length_ms)
                words[event.turn] = LetterSignal().hear(np.concatenate(heard))
                started = None
            case FinalTranscript():
                spoken = words.pop(event.turn)
                assert event.text == spoken or (not complete and is_part(event.text, spoken))
            case TurnFailed(stage="listening" | "recognition"):
                assert event.turn in words
                del words[event.turn]
    assert started is None
    assert not words


def is_part(text: str, of: str) -> bool:
    """All of ``text`` is in ``of``, in its order."""
    letters = iter(of)
    return all(letter in letters for letter in text)


def check_answers(script: Script) -> None:
    """Whoever asked is answered, or told that there will be no answer."""
    for before, turn in script.asked:
        over = [e for e in script.log.events[before:] if isinstance(e, ReplyFinished | ReplyInterrupted)]
        assert turn in {e.turn for e in over}


def check_reply(events: list[Event]) -> None:
    """Nothing before it begins, while it is held, or once it is called off; not a sample lost or twice."""
    begun = finished = held = False
    end_ms = 0.0
    for event in events:
        match event:
            case ReplyStarted():
                assert not begun
                begun, finished, end_ms = True, False, 0.0
            case ReplyText() | ClauseReady():
                assert begun
                assert not finished
            case ReplyAudio(pcm=pcm, rate=rate, start_ms=start_ms):
                assert begun
                assert not held
                assert start_ms == pytest.approx(end_ms, abs=0.1)
                end_ms = start_ms + len(pcm) * 1000.0 / rate
            case ReplyPaused(heard_ms=heard_ms):
                assert begun
                assert not held
                held, end_ms = True, heard_ms
            case ReplyResumed(heard_ms=heard_ms):
                assert held
                held, end_ms = False, heard_ms
            case ReplyFinished():
                assert begun
                assert not finished
                finished = True
            case ReplyInterrupted(heard_ms=heard_ms):
                assert heard_ms <= end_ms + 0.1
                begun = finished = held = False
    assert not held


def check_one_voice(events: list[Event]) -> None:
    """No reply begins to be heard before the one before it is over."""
    writing: set[str] = set()
    sounds_until: dict[str, float] = {}
    for event in events:
        match event:
            case ReplyStarted(reply=reply):
                writing.add(reply)
            case ReplyFinished(reply=reply):
                writing.discard(reply)
            case ReplyInterrupted(reply=reply):
                writing.discard(reply)
                sounds_until.pop(reply, None)
            case ReplyPaused(reply=reply):
                sounds_until.pop(reply, None)
            case ReplyAudio(reply=reply, at=at, pcm=pcm, rate=rate):
                assert writing <= {reply}
                assert all(until <= at + 0.01 for other, until in sounds_until.items() if other != reply)
                sounds_until[reply] = max(sounds_until.get(reply, at), at) + len(pcm) / rate


def check_history(script: Script) -> None:
    """Both sides in turn; of the user all that was understood, of the server what was heard."""
    history, log = script.talk._history, script.log
    messages = history.messages()
    assert all(a.role != b.role for a, b in pairwise(messages))
    said_by_user = "\n".join(m.content for m in messages if m.role == "user").split("\n")
    assert said_by_user == [text for text in user_words(log) if text]
    if script.told:
        return
    for reply in {e.reply for e in log.events if isinstance(e, ReplyStarted)}:
        of_it = [e for e in log.events if getattr(e, "reply", None) == reply]
        kept = "".join(entry.content for entry in history._entries if entry.label == reply)
        assert "".join(e.text for e in of_it if isinstance(e, ReplyText)).startswith(kept)
        ends = [e for e in of_it if isinstance(e, ReplyFinished | ReplyInterrupted)]
        if isinstance(ends[-1], ReplyInterrupted):
            assert kept == ends[-1].heard_text


def user_words(log: EventLog) -> list[str]:
    """What the user said and typed, in the order in which it became certain."""
    understood = {e.turn: e.text for e in log.of(FinalTranscript)}
    return [
        e.text if isinstance(e, UserText) else understood.get(e.turn, "")
        for e in log.events
        if isinstance(e, UserText | TurnEnded)
    ]


@pytest.mark.parametrize("seed", range(100, 130))
def test_closing_at_any_moment(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")

    @virtually
    async def scenario() -> None:
        script = Script(seed)
        async with script.talk:
            for _ in range(script.dice.randint(1, 12)):
                await script.something()
            await asyncio.sleep(script.dice.random())
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert_closed(script)
        log = script.log
        assert len(log.of(SpeechStarted)) == len(log.of(SpeechRejected)) + len(log.of(TurnEnded))
        number = len(log.events)
        await asyncio.sleep(60.0)
        assert len(log.events) == number

    scenario()
