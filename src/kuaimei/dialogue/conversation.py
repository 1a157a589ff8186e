"""One conversation: audio and text in, events out."""

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
    """Conversation of one session; all methods must be called on the event loop.

    Args:
        engines: Speech and language engines, shared with other conversations.
        settings: Initial dialogue settings.
        session: Id of the session, by which the queues share time fairly.
        observers: Called with every event, in order; they must return at once.
        reply_options: How to reply to the user.
        earlier: Messages from before, if a session is continued.
        first_turn: Number of the first turn.

    Attributes:
        reply_options: Used for turns that begin from now on.
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
        """Current state: listening, thinking or speaking."""
        return self._state

    @property
    def turn(self) -> int:
        """Number of the latest committed turn."""
        return self._event_bus.turn

    @property
    def settings(self) -> DialogueSettings:
        """Dialogue settings; a change takes effect with the next utterance and turn."""
        return self._settings

    @settings.setter
    def settings(self, value: DialogueSettings) -> None:
        self._settings = self._active_turns.settings = self._turn_taking.settings = value
        self._turn_taking.detector.settings = value

    @property
    def endpointing(self) -> bool:
        """True if silence ends an utterance; False: only `commit` does, and all audio belongs to it."""
        return self._turn_taking.detector.endpointing

    @endpointing.setter
    def endpointing(self, value: bool) -> None:
        self._turn_taking.detector.endpointing = value
        self._changed()

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` with every event from now on; it must return at once."""
        self._event_bus.observe(observer)

    def push_audio(self, pcm: Pcm) -> None:
        """Process audio (16 kHz, any length), not to be changed afterwards; ignored once closed."""
        if not self._closed:
            self._turn_taking.detector.push(pcm)

    def commit(self) -> bool:
        """End the user's turn now; return False if there is no utterance."""
        return self._turn_taking.commit()

    def clear(self) -> None:
        """Discard the current utterance."""
        self._turn_taking.clear()

    def send_text(self, text: str, *, reply: bool = True) -> int:
        """Add a typed turn, answered at once unless ``reply`` is False.

        Returns:
            The number of the turn.

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
        """Add a message to the history without replying."""
        self._history.add(message.role, message.content, label=label)

    def remove_message(self, label: str) -> bool:
        """Remove one message from the history; a reply in progress continues, later ones do not see it.

        Args:
            label: ``user_N`` and ``reply_N`` for the two sides of turn N, ``earlier_N`` for item N (from 0)
                of the messages that the conversation began with, or the label given to `add_message`.

        Returns:
            False if there is no such message (any more).
        """
        return self._history.remove(label)

    def generate_reply(self, reply_options: ReplyOptions | None = None) -> int:
        """Generate a reply to the history, once all committed speech has been transcribed.

        Returns:
            The number of the turn: the latest one if it has not been answered, else a new one.

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
        """Stop the reply now; the user's current utterance is not affected."""
        self._active_turns.interrupt("cancelled")

    def report_playback(self, heard_ms: float) -> None:
        """Record how much of the current or last reply the client has actually played.

        While the reply is playing, this corrects the estimate. Once it is paused, interrupted or over, the
        value is final and the history is corrected.
        """
        self._active_turns.report_playback(heard_ms)

    async def wait_idle(self) -> None:
        """Wait until nothing is being heard, thought or spoken."""
        while not self._rest.is_set():  # activity may have resumed by the time the waiter wakes
            await self._rest.wait()

    async def close(self) -> None:
        """End the conversation cleanly, whatever is in progress; idempotent."""
        if not self._closed:
            self._closed = True
            self._event_bus.close()
            await self._turn_taking.close()
            self._active_turns.interrupt("closed")
        await self._tasks.close()

    def _on_event(self, event: Event) -> None:
        """Warm the model's prompt cache while the user is still speaking."""
        if self._active_turns.busy:
            return
        if isinstance(event, SpeechStarted):
            self._warm()
        elif isinstance(event, SegmentTranscribed):
            self._warm(event.text)

    def _warm(self, said: str = "") -> None:
        """Load the history and the user's transcript so far into the model's prompt cache."""
        prompt = self.reply_options.instructions or self._settings.system_prompt
        messages = self._history.request(prompt, self._settings.history_tokens, said)
        if messages != self._warmed:
            self._warmed = messages
            ticket = Ticket(session=self._session, priority=Priority.BACKGROUND)
            self._tasks.start(self._language_model.warm(LLMReq(messages=messages, ticket=ticket)))

    def _changed(self) -> None:
        """Update the state after something began or ended."""
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
