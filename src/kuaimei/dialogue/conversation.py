"""One conversation: audio and words in, events out; who listens, who thinks, who speaks."""

import asyncio
from collections.abc import Sequence
from types import TracebackType

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.active_turns import Floor, State
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.event_bus import Journal
from kuaimei.dialogue.events import Event, Observer, PieceRecognised, SpeechStarted, StateChanged, UserText
from kuaimei.dialogue.history import History
from kuaimei.dialogue.reply_options import Manner
from kuaimei.dialogue.task_set import Tasks
from kuaimei.dialogue.turn_taking import Attention
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
        manner: Manner = Manner(),  # noqa: B008 (frozen)
        earlier: Sequence[Message] = (),
        first_turn: int = 1,
    ) -> None:
        self.manner = manner
        self._language_model = engines.language_model
        self._settings = settings
        self._session = session
        self._history = History(earlier)
        self._tasks = Tasks()
        self._journal = Journal([self._follow, *observers], first_turn)
        self._state: State = "listening"
        self._rest = asyncio.Event()
        self._rest.set()
        self._warmed: tuple[Message, ...] = ()
        self._closed = False
        self._floor = Floor(
            engines, settings, session, self._history, self._tasks, self._journal, self._changed
        )
        self._attention = Attention(
            engines,
            settings,
            session,
            self._tasks,
            self._journal,
            self._floor,
            lambda: self.manner,
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
        return self._journal.turn

    @property
    def settings(self) -> DialogueSettings:
        """How it listens, thinks and speaks; a change takes effect with the next utterance and turn."""
        return self._settings

    @settings.setter
    def settings(self, value: DialogueSettings) -> None:
        self._settings = self._floor.settings = self._attention.settings = value
        self._attention.listener.settings = value

    @property
    def endpointing(self) -> bool:
        """False: only `commit` ends an utterance, and all audio belongs to it."""
        return self._attention.listener.endpointing

    @endpointing.setter
    def endpointing(self, value: bool) -> None:
        self._attention.listener.endpointing = value
        self._changed()

    def observe(self, observer: Observer) -> None:
        """Tell ``observer`` of every event from now on; it must return at once."""
        self._journal.observe(observer)

    def hear(self, pcm: Pcm) -> None:
        """More audio (16 kHz, any length), not to be changed afterwards; ignored once closed."""
        if not self._closed:
            self._attention.listener.push(pcm)

    def commit(self) -> bool:
        """The user's turn ends now; False if nothing was being said."""
        return self._attention.commit()

    def clear(self) -> None:
        """Forget what is being said."""
        self._attention.clear()

    def type(self, text: str, *, reply: bool = True) -> int:
        """A typed turn, answered at once unless ``reply`` is False; its number.

        Raises:
            RuntimeError: If the conversation is closed.
        """
        now = _now()
        number = self._journal.turn = self._journal.number()
        self._journal.emit(UserText(number, now, text))
        if reply:
            self._attention.unanswered = None
            self._floor.interrupt("barge_in")
            self._floor.take(self._floor.begin(number, self.manner, now, said=text), now)
        else:
            self._attention.unanswered = (number, now)
            self._history.add("user", text, label=f"user_{number}")
        self._attention.guess_again()
        return number

    def add(self, message: Message, *, label: str = "") -> None:
        """Put a message into the history, nothing else."""
        self._history.add(message.role, message.content, label=label)

    def forget(self, label: str) -> bool:
        """Take one message out of the history; a reply under way goes on, and the next knows nothing of it.

        Args:
            label: ``user_N`` and ``reply_N`` for what was said in turn N, ``earlier_N`` for the message at
                place N (from 0) of what the conversation began with, or what `add` was given.

        Returns:
            False if there is no such message (any more).
        """
        return self._history.remove(label)

    def respond(self, manner: Manner | None = None) -> int:
        """Answer the history as it stands, once what was said is understood.

        Returns:
            The number of the turn: of the latest one if it was not answered, else a new one.

        Raises:
            RuntimeError: If the conversation is closed.
        """
        manner = manner or self.manner
        unanswered, self._attention.unanswered = self._attention.unanswered, None
        latest = self._floor.understanding()
        if latest is not None and latest.ask(manner):
            return latest.number
        number, t0 = unanswered or (self._journal.number(), _now())
        self._floor.interrupt("barge_in")
        self._floor.take(self._floor.begin(number, manner, t0), t0)
        self._attention.guess_again()
        return number

    def cancel(self) -> None:
        """Stop the reply now; what the user says meanwhile goes on being heard."""
        self._floor.interrupt("cancelled")

    def played(self, heard_ms: float) -> None:
        """The client says how much of the current or last reply was really played.

        While the reply goes on this sets the account right; once it is held, interrupted or over it is
        the last word, and the history is corrected.
        """
        self._floor.played(heard_ms)

    async def idle(self) -> None:
        """Wait until nothing is being heard, thought or spoken."""
        while not self._rest.is_set():  # it may be over again by the time the waiter wakes
            await self._rest.wait()

    async def close(self) -> None:
        """End in good order, whatever is going on; idempotent."""
        if not self._closed:
            self._closed = True
            self._journal.close()
            await self._attention.close()
            self._floor.interrupt("closed")
        await self._tasks.close()

    def _follow(self, event: Event) -> None:
        """Let the model read what is known already while the user is still speaking."""
        if self._floor.busy:
            return
        if isinstance(event, SpeechStarted):
            self._warm()
        elif isinstance(event, PieceRecognised):
            self._warm(event.text)

    def _warm(self, said: str = "") -> None:
        """Have the history, and what the user ``said`` so far, read into the model's prompt cache."""
        prompt = self.manner.instructions or self._settings.system_prompt
        messages = self._history.request(prompt, self._settings.history_tokens, said)
        if messages != self._warmed:
            self._warmed = messages
            ticket = Ticket(session=self._session, priority=Priority.BACKGROUND)
            self._tasks.start(self._language_model.warm(LLMReq(messages=messages, ticket=ticket)))

    def _changed(self) -> None:
        """Something began or ended: the state follows."""
        state, attention = self._floor.state, self._attention
        attention.listener.over_reply = state == "speaking" and attention.may_interrupt
        if state != self._state:
            self._state = state
            self._journal.emit(StateChanged(self._journal.turn, _now(), state))
        if self._floor.busy or (attention.hearing and attention.listener.endpointing):
            self._rest.clear()
        else:
            self._rest.set()


def _now() -> float:
    return asyncio.get_running_loop().time()
