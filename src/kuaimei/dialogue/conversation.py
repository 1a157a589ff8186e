"""One conversation: audio and words in, events out; who listens, who thinks, who speaks."""

import asyncio
from collections.abc import Sequence
from types import TracebackType

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.active_turns import ActiveTurns, State
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.event_bus import EventBus
from kuaimei.dialogue.events import Event, Observer, SegmentTranscribed, SpeechStarted, StateChanged, UserText
from kuaimei.dialogue.history import ChatHistory
from kuaimei.dialogue.reply_options import ReplyOptions
from kuaimei.dialogue.task_set import TaskSet
from kuaimei.dialogue.turn_taking import TurnTaking
from kuaimei.engines.types import LLMReq, Message, Priority, Ticket
from kuaimei.settings import DialogueSettings

__all__ = ["Conversation"]


class Conversation:
    """Carries one session; all methods are called on the event loop.

    Args:
        engines: Who listens, thinks and speaks; shared with other conversations.
        session: Id of the session, which takes its turn in every queue.
        observers: Told of every event, in order; they must return at once.
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
        reply_options: ReplyOptions = ReplyOptions(),  # noqa: B008 (frozen)
        earlier: Sequence[Message] = (),
        first_turn: int = 1,
    ) -> None:
        self.reply_options = reply_options
        self._language_model = engines.language_model
        self._settings = settings
        self._session = session
        self._history = ChatHistory(earlier)
        self._tasks = TaskSet()
        self._event_bus = EventBus([self._on_event, *observers], first_turn)
        self._state: State = "listening"
        self._rest = asyncio.Event()
        self._rest.set()
        self._warmed: tuple[Message, ...] = ()
        self._closed = False
        self._active_turns = ActiveTurns(
            engines, settings, session, self._history, self._tasks, self._event_bus, self._changed
        )
        self._turn_taking = TurnTaking(
            engines,
            settings,
            session,
            self._tasks,
            self._event_bus,
            self._active_turns,
            lambda: self.reply_options,
            self._changed,
        )

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
        return self._event_bus.turn

    @property
    def settings(self) -> DialogueSettings:
        """How it listens, thinks and speaks; a change takes effect with the next utterance and turn."""
        return self._settings

    @settings.setter
    def settings(self, value: DialogueSettings) -> None:
        self._settings = self._active_turns.settings = self._turn_taking.settings = value
        self._turn_taking.detector.settings = value

    @property
    def endpointing(self) -> bool:
        """False: only `commit` ends an utterance, and all audio belongs to it."""
        return self._turn_taking.detector.endpointing

    @endpointing.setter
    def endpointing(self, value: bool) -> None:
        self._turn_taking.detector.endpointing = value
        self._changed()

    def observe(self, observer: Observer) -> None:
        """Tell ``observer`` of every event from now on; it must return at once."""
        self._event_bus.observe(observer)

    def push_audio(self, pcm: Pcm) -> None:
        """More audio (16 kHz, any length), not to be changed afterwards; ignored once closed."""
        if not self._closed:
            self._turn_taking.detector.push(pcm)

    def commit(self) -> bool:
        """The user's turn ends now; False if nothing was being said."""
        return self._turn_taking.commit()

    def clear(self) -> None:
        """Forget what is being said."""
        self._turn_taking.clear()

    def send_text(self, text: str, *, reply: bool = True) -> int:
        """A typed turn, answered at once unless ``reply`` is False; its number.

        Raises:
            RuntimeError: If the conversation is closed.
        """
        now = _now()
        number = self._event_bus.turn = self._event_bus.allocate_turn_number()
        self._event_bus.emit(UserText(number, now, text))
        if reply:
            self._turn_taking.unanswered = None
            self._active_turns.interrupt("barge_in")
            self._active_turns.commit(
                self._active_turns.begin(number, self.reply_options, now, said=text), now
            )
        else:
            self._turn_taking.unanswered = (number, now)
            self._history.add("user", text, label=f"user_{number}")
        self._turn_taking.restart_speculation()
        return number

    def add_message(self, message: Message, *, label: str = "") -> None:
        """Put a message into the history, nothing else."""
        self._history.add(message.role, message.content, label=label)

    def remove_message(self, label: str) -> bool:
        """Take one message out of the history; a reply under way goes on, and the next knows nothing of it.

        Args:
            label: ``user_N`` and ``reply_N`` for what was said in turn N, ``earlier_N`` for the message at
                place N (from 0) of what the conversation began with, or what `add` was given.

        Returns:
            False if there is no such message (any more).
        """
        return self._history.remove(label)

    def generate_reply(self, reply_options: ReplyOptions | None = None) -> int:
        """Answer the history as it stands, once what was said is understood.

        Returns:
            The number of the turn: of the latest one if it was not answered, else a new one.

        Raises:
            RuntimeError: If the conversation is closed.
        """
        reply_options = reply_options or self.reply_options
        unanswered, self._turn_taking.unanswered = self._turn_taking.unanswered, None
        latest = self._active_turns.pending_turn()
        if latest is not None and latest.ask(reply_options):
            return latest.number
        number, t0 = unanswered or (self._event_bus.allocate_turn_number(), _now())
        self._active_turns.interrupt("barge_in")
        self._active_turns.commit(self._active_turns.begin(number, reply_options, t0), t0)
        self._turn_taking.restart_speculation()
        return number

    def cancel_reply(self) -> None:
        """Stop the reply now; what the user says meanwhile goes on being heard."""
        self._active_turns.interrupt("cancelled")

    def report_playback(self, heard_ms: float) -> None:
        """The client says how much of the current or last reply was really played.

        While the reply goes on this sets the account right; once it is held, interrupted or over it is
        the last word, and the history is corrected.
        """
        self._active_turns.report_playback(heard_ms)

    async def wait_idle(self) -> None:
        """Wait until nothing is being heard, thought or spoken."""
        while not self._rest.is_set():  # it may be over again by the time the waiter wakes
            await self._rest.wait()

    async def close(self) -> None:
        """End in good order, whatever is going on; idempotent."""
        if not self._closed:
            self._closed = True
            self._event_bus.close()
            await self._turn_taking.close()
            self._active_turns.interrupt("closed")
        await self._tasks.close()

    def _on_event(self, event: Event) -> None:
        """Let the model read what is known already while the user is still speaking."""
        if self._active_turns.busy:
            return
        if isinstance(event, SpeechStarted):
            self._warm()
        elif isinstance(event, SegmentTranscribed):
            self._warm(event.text)

    def _warm(self, said: str = "") -> None:
        """Have the history, and what the user ``said`` so far, read into the model's prompt cache."""
        prompt = self.reply_options.instructions or self._settings.system_prompt
        messages = self._history.request(prompt, self._settings.history_tokens, said)
        if messages != self._warmed:
            self._warmed = messages
            ticket = Ticket(session=self._session, priority=Priority.BACKGROUND)
            self._tasks.start(self._language_model.warm(LLMReq(messages=messages, ticket=ticket)))

    def _changed(self) -> None:
        """Something began or ended: the state follows."""
        state, turn_taking = self._active_turns.state, self._turn_taking
        turn_taking.detector.over_reply = state == "speaking" and turn_taking.may_interrupt
        if state != self._state:
            self._state = state
            self._event_bus.emit(StateChanged(self._event_bus.turn, _now(), state))
        if self._active_turns.busy or (turn_taking.has_pending_speech and turn_taking.detector.endpointing):
            self._rest.clear()
        else:
            self._rest.set()


def _now() -> float:
    return asyncio.get_running_loop().time()
