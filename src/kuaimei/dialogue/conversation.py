"""One conversation: audio and words in, events out; who listens, who thinks, who speaks."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.backchannel import is_backchannel
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.events import (
    CaptionUpdated,
    Event,
    Observer,
    ReplyAudio,
    ReplyStarted,
    SpeculationDropped,
    SpeculationStarted,
    SpeechDropped,
    SpeechHeard,
    SpeechStarted,
    StateChanged,
    TurnEnded,
    UserText,
)
from kuaimei.dialogue.floor import Floor, State
from kuaimei.dialogue.history import History
from kuaimei.dialogue.listening import EndReason, Listener
from kuaimei.dialogue.manner import Manner
from kuaimei.dialogue.tasks import Tasks
from kuaimei.dialogue.turn import Turn
from kuaimei.dialogue.utterance import Transcript, Utterance
from kuaimei.engines.types import LLMReq, Message, Priority, Ticket
from kuaimei.settings import DialogueSettings

__all__ = ["Conversation"]

_log = logging.getLogger(__name__)

_TELLING = 2
"""Characters of a caption that count as words over the reply; a single one may be a misheard cough."""


@dataclass(slots=True, eq=False)
class _Hearing:
    """What is being heard, or has been heard and is not yet known to be a turn.

    Attributes:
        turn: Begun on the guess that it is one.
        end: Where it ended and why.
        over: It has ended.
    """

    utterance: Utterance
    number: int
    turn: Turn | None = None
    end: tuple[float, EndReason] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Conversation:
    """Carries one session; all methods are called on the event loop.

    Args:
        engines: Who listens, thinks and speaks; shared with other conversations.
        session: Id of the session, which takes its turn in every queue.
        observers: Told of every event, in order.
        manner: How the user is to be answered.
        earlier: What was said before, if an old session goes on.
        first_turn: Number of the first turn.

    Attributes:
        manner: For turns that begin from now on.
    """

    def __init__(
        self,
        engines: Engines,
        settings: DialogueSettings,
        session: str,
        observers: Sequence[Observer] = (),
        *,
        manner: Manner = Manner(),  # noqa: B008 (frozen)
        earlier: Sequence[Message] = (),
        first_turn: int = 1,
    ) -> None:
        self.manner = manner
        self._engines = engines
        self._settings = settings
        self._session = session
        self._observers = list(observers)
        self._history = History(earlier)
        self._tasks = Tasks()
        self._listener = Listener(engines, settings, session, self._tasks, self)
        self._floor = Floor(self._changed)
        self._hearing: _Hearing | None = None
        self._numbered = first_turn - 1
        self._turn = first_turn - 1
        self._unanswered: tuple[int, float] | None = None
        self._state: State = "listening"
        self._rest = asyncio.Event()
        self._rest.set()
        self._warmed: tuple[Message, ...] = ()
        self._closed = False

    async def __aenter__(self) -> "Conversation":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def state(self) -> State:
        """Listening, thinking or speaking."""
        return self._state

    @property
    def turn(self) -> int:
        """Number of the latest turn that is certain."""
        return self._turn

    @property
    def endpointing(self) -> bool:
        """False: only `commit` ends an utterance, and all audio belongs to it."""
        return self._listener.endpointing

    @endpointing.setter
    def endpointing(self, value: bool) -> None:
        self._listener.endpointing = value
        self._changed()

    def observe(self, observer: Observer) -> None:
        """Tell ``observer`` of every event from now on; it must return at once."""
        self._observers.append(observer)

    def hear(self, pcm: Pcm) -> None:
        """More audio (16 kHz, any length), not to be changed afterwards; ignored once closed."""
        if not self._closed:
            self._listener.push(pcm)

    def commit(self) -> bool:
        """The user's turn ends now; False if nothing was being said."""
        hearing = self._hearing
        if hearing is not None and hearing.end is not None:
            self._settle(hearing)
            return True
        return self._listener.commit()

    def clear(self) -> None:
        """Forget what is being said."""
        if self._hearing is not None:
            self._drop(self._hearing, "")
        self._listener.clear()

    def type(self, text: str, *, reply: bool = True) -> int:
        """A typed turn, answered at once unless ``reply`` is False; its number."""
        now = self._now()
        number = self._turn = self._number()
        self._emit(UserText(number, now, text))
        if reply:
            self._unanswered = None
            self._floor.interrupt("barge_in")
            self._take(self._begin(number, self.manner, said=text), now)
        else:
            self._unanswered = (number, now)
            self._history.add("user", text)
        return number

    def add(self, message: Message) -> None:
        """Put a message into the history, nothing else."""
        self._history.add(message.role, message.content)

    def respond(self, manner: Manner | None = None) -> int:
        """Answer the history as it stands (once what was said is understood); the turn's number."""
        manner = manner or self.manner
        latest = self._floor.understanding()
        if latest is not None and latest.ask(manner):
            self._unanswered = None
            return latest.number
        number, t0 = self._unanswered or (self._number(), self._now())
        self._unanswered = None
        self._turn = number
        self._floor.interrupt("barge_in")
        self._take(self._begin(number, manner), t0)
        return number

    def cancel(self) -> None:
        """Stop the reply now; what the user says meanwhile goes on being heard."""
        self._floor.interrupt("cancelled")

    def played(self, heard_ms: float) -> None:
        """The client says how much of the current or last reply was really played."""
        self._floor.played(heard_ms)

    async def idle(self) -> None:
        """Wait until nothing is being heard, thought or spoken."""
        while not self._rest.is_set():  # it may be over again by the time the waiter wakes
            await self._rest.wait()

    async def close(self) -> None:
        """End in good order, whatever is going on; idempotent."""
        if not self._closed:
            self._closed = True
            hearing = self._hearing
            if hearing is not None and hearing.end is not None:
                self.speech_ended(hearing.utterance, hearing.end[0], "closed")
            await self._listener.close()
            self._floor.interrupt("closed")
        await self._tasks.close()

    # What the listener tells

    def speech_started(self, utterance: Utterance, audio_ms: float) -> None:
        """Silence at once if a reply is being spoken; whether it is an interruption shows later."""
        if self._hearing is not None:
            self._settle(self._hearing)  # who speaks again did not merely cough
        self._hearing = _Hearing(utterance, self._number())
        self._emit(SpeechStarted(self._hearing.number, self._now(), audio_ms))
        if self._may_interrupt:
            self._floor.hold()
        if not self._floor.busy:
            self._warm()
        self._changed()

    def speech_heard(self, pcm: Pcm) -> None:
        """Audio of the utterance."""
        if self._hearing is not None:
            self._emit(SpeechHeard(self._hearing.number, self._now(), pcm))

    def speech_continues(self, voiced_ms: float) -> None:
        """So much is no backchannel any more."""
        if voiced_ms >= self._settings.barge_in_confirm_ms and self._floor.held:
            self._floor.interrupt("barge_in")

    def speech_paused(self, utterance: Utterance) -> None:
        """The turn begins, on the guess that it is over."""
        hearing = self._hearing
        if hearing is not None:
            self._emit(SpeculationStarted(hearing.number, self._now()))
            hearing.turn = self._guess(hearing)

    def speech_resumed(self, utterance: Utterance) -> None:
        """The guess was wrong."""
        hearing = self._hearing
        if hearing is not None and hearing.turn is not None:
            hearing.turn.cancel()
            hearing.turn = None
            self._emit(SpeculationDropped(hearing.number, self._now()))

    def speech_ended(self, utterance: Utterance, audio_ms: float, reason: EndReason) -> None:
        """It is a turn, unless that depends on what was said."""
        hearing = self._hearing
        if hearing is None:
            return
        hearing.end = (audio_ms, reason)
        if reason == "closed":
            self._hearing = None
            if hearing.turn is not None:
                hearing.turn.cancel()
            utterance.abandon()
            t0 = utterance.last_voiced_at
            self._emit(TurnEnded(hearing.number, self._now(), t0, audio_ms, reason))
            return
        hearing.turn = hearing.turn or self._guess(hearing)
        hearing.over.set()
        brief = utterance.voiced_ms < self._settings.barge_in_confirm_ms
        doubtful = reason != "committed" and not hearing.turn.understood and (brief or self._floor.answering)
        if not doubtful:
            self._settle(hearing)

    def speech_too_short(self, utterance: Utterance) -> None:
        """A click."""
        if self._hearing is not None:
            self._drop(self._hearing, "")

    def caption_updated(self, text: str) -> None:
        """Words over the reply interrupt it."""
        if self._hearing is None:
            return
        self._emit(CaptionUpdated(self._hearing.number, self._now(), text))
        if self._floor.held and len(text) >= _TELLING and not is_backchannel(text):
            self._floor.interrupt("barge_in")

    # Whether what was heard is a turn

    async def _judge(self, hearing: _Hearing, transcript: Transcript | None) -> bool:
        """Whether ``transcript`` (None: recognition failed) makes a turn of what was heard."""
        text = transcript.text if transcript is not None else ""
        if self._floor.answering and self._hearing is hearing and is_backchannel(text):
            quiet_at = hearing.utterance.last_voiced_at + self._settings.false_alarm_silence_ms / 1000.0
            await asyncio.sleep(max(0.0, quiet_at - self._now()))
            if self._floor.answering and self._hearing is hearing:
                self._drop(hearing, text)
                return False
        brief = hearing.utterance.voiced_ms < self._settings.barge_in_confirm_ms
        if transcript is not None and not text and brief:
            await hearing.over.wait()
            if self._hearing is hearing:  # a noise without words
                self._drop(hearing, text)
                return False
        if self._hearing is hearing:
            if self._may_interrupt:
                self._floor.interrupt("barge_in")
            if hearing.end is not None:
                self._settle(hearing)
        return True

    def _settle(self, hearing: _Hearing) -> None:
        """What was heard is a turn, and it is over."""
        if hearing.end is None or hearing.turn is None:
            return
        self._hearing = None
        audio_ms, reason = hearing.end
        t0 = hearing.utterance.last_voiced_at
        if self.manner.interrupt or reason == "committed":
            self._floor.interrupt("barge_in")
        self._turn = hearing.number
        self._unanswered = None if hearing.turn.wants_reply else (hearing.number, t0)
        self._emit(TurnEnded(hearing.number, self._now(), t0, audio_ms, reason))
        self._take(hearing.turn, t0)

    def _drop(self, hearing: _Hearing, text: str) -> None:
        """What was heard is no turn; a reply that was held for it goes on."""
        self._hearing = None
        if hearing.end is None:
            self._listener.drop()
        hearing.utterance.abandon()
        if hearing.turn is not None and hearing.turn.task is not asyncio.current_task():
            hearing.turn.cancel()
        self._emit(SpeechDropped(hearing.number, self._now(), text))
        if self._numbered == hearing.number:
            self._numbered -= 1
        self._floor.resume()
        self._changed()

    # Turns

    def _guess(self, hearing: _Hearing) -> Turn:
        return self._begin(hearing.number, self.manner, hearing=hearing)

    def _begin(
        self, number: int, manner: Manner, *, hearing: _Hearing | None = None, said: str | None = None
    ) -> Turn:
        async def approve(transcript: Transcript | None) -> bool:
            return hearing is None or await self._judge(hearing, transcript)

        return Turn(
            number,
            self._engines,
            self._settings,
            manner,
            self._history,
            self._session,
            self._tasks,
            self._emit_of_turn,
            utterance=hearing.utterance if hearing else None,
            said=said,
            t0=hearing.utterance.last_voiced_at if hearing else self._now(),
            after=self._floor.tasks,
            approve=approve,
        )

    def _take(self, turn: Turn, t0: float) -> None:
        self._floor.take(turn, t0)

    @property
    def _may_interrupt(self) -> bool:
        return self.manner.interrupt and self._listener.endpointing

    def _number(self) -> int:
        if self._closed:
            raise RuntimeError("the conversation is closed")
        self._numbered += 1
        return self._numbered

    def _warm(self) -> None:
        """Have the history read into the model's prompt cache while the user is still speaking."""
        prompt = self.manner.instructions or self._settings.system_prompt
        messages = self._history.request(prompt, self._settings.history_tokens)
        if messages != self._warmed:
            self._warmed = messages
            ticket = Ticket(session=self._session, priority=Priority.BACKGROUND)
            self._tasks.start(self._engines.language_model.warm(LLMReq(messages=messages, ticket=ticket)))

    # Events

    def _emit_of_turn(self, event: Event) -> None:
        if isinstance(event, ReplyStarted | ReplyAudio):
            self._changed()
        self._emit(event)

    def _emit(self, event: Event) -> None:
        for observer in self._observers:
            try:
                observer(event)
            except Exception:  # whoever watches must not be able to stop the conversation
                _log.exception("an observer failed on %s", type(event).__name__)

    def _changed(self) -> None:
        """Something began or ended: the state follows."""
        state = self._floor.state
        self._listener.over_reply = state == "speaking" and self._may_interrupt
        if state != self._state:
            self._state = state
            self._emit(StateChanged(self._turn, self._now(), state))
        if self._floor.busy or (self._hearing is not None and self._listener.endpointing):
            self._rest.clear()
        else:
            self._rest.set()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
