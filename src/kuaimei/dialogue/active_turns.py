"""Active turns: which are being answered, and the playback state of their replies."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal, TypeAlias

from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.event_bus import EventBus
from kuaimei.dialogue.events import Event, ReplyAudio, ReplyStarted
from kuaimei.dialogue.history import ChatHistory
from kuaimei.dialogue.reply_options import ReplyOptions
from kuaimei.dialogue.task_set import TaskSet
from kuaimei.dialogue.turn import Turn
from kuaimei.dialogue.utterance import Transcript, Utterance
from kuaimei.settings import DialogueSettings

__all__ = ["ActiveTurns", "State"]

State: TypeAlias = Literal["listening", "thinking", "speaking"]


class ActiveTurns:
    """Committed turns that are not over yet; nearly always none or one.

    There is more than one only while earlier turns are still being transcribed after their reply was
    cancelled, or if replies must not be interrupted: then the next turn waits for the end of the reply.

    Args:
        engines: Engines for the turns.
        settings: Initial value of the attribute.
        session: Id of the session.
        history: Chat history that the turns extend.
        tasks: Task set in which the turns run.
        event_bus: Receives the events.
        changed: Called after every change of the turns or of `state`.

    Attributes:
        settings: Used for turns that begin from now on.
    """

    def __init__(
        self,
        engines: Engines,
        settings: DialogueSettings,
        session: str,
        history: ChatHistory,
        tasks: TaskSet,
        event_bus: EventBus,
        changed: Callable[[], None],
    ) -> None:
        self._engines = engines
        self.settings = settings
        self._session = session
        self._history = history
        self._tasks = tasks
        self._event_bus = event_bus
        self._changed = changed
        self._turns: list[Turn] = []
        self._heard_last: Turn | None = None  # latest finished turn whose reply was audible

    @property
    def busy(self) -> bool:
        """True while a turn is being transcribed, answered or played."""
        return bool(self._turns)

    @property
    def answering(self) -> bool:
        """True while a reply is being prepared or spoken."""
        return any(turn.wants_reply for turn in self._turns)

    @property
    def is_paused(self) -> bool:
        """True while the reply is paused until it is known whether it is being interrupted."""
        return any(turn.speech_output.is_paused for turn in self._turns)

    @property
    def state(self) -> State:
        """What the server is doing: listening, thinking or speaking."""
        if any(turn.wants_reply and turn.replying and _is_audible(turn) for turn in self._turns):
            return "speaking"
        return "thinking" if self._turns else "listening"

    def pending_turn(self) -> Turn | None:
        """Return the latest turn if it is active and no reply has been requested for it."""
        latest = self._turns[-1] if self._turns else None
        return latest if latest is not None and not latest.wants_reply else None

    def begin(
        self,
        number: int,
        reply_options: ReplyOptions,
        t0: float,
        *,
        utterance: Utterance | None = None,
        said: str | None = None,
        approve: Callable[[Transcript | None], Awaitable[bool]] | None = None,
    ) -> Turn:
        """Create a turn that is not committed yet. See `Turn` for the arguments."""
        return Turn(
            number,
            self._engines,
            self.settings,
            reply_options,
            self._history,
            self._session,
            self._tasks,
            self._emit,
            utterance=utterance,
            said=said,
            t0=t0,
            after=tuple(turn.task for turn in self._turns),
            approve=approve,
        )

    def commit(self, turn: Turn, t0: float) -> None:
        """Commit ``turn``; the replies of turns not answered yet are cancelled, as this one covers them.

        Args:
            turn: A turn made by `begin`.
            t0: Loop time of the user's last voiced frame.
        """
        for earlier in self._turns:
            if not earlier.answering:
                earlier.interrupt("barge_in")
        self._turns.append(turn)
        self._event_bus.turn = turn.number
        turn.task.add_done_callback(partial(self._leave, turn))
        self._changed()
        turn.commit(t0)
        self._changed()

    def pause_reply(self) -> None:
        """Pause playback at once because speech was detected."""
        for turn in self._turns:
            if turn.wants_reply:
                turn.speech_output.pause()

    def resume_reply(self) -> None:
        """Resume playback after a false alarm."""
        for turn in self._turns:
            turn.speech_output.resume()

    def interrupt(self, reason: Literal["barge_in", "cancelled", "closed"]) -> None:
        """End all replies; if ``reason`` is "closed", transcription is cancelled, too."""
        for turn in tuple(self._turns):
            turn.interrupt(reason)
            if turn.answering:
                self._remove(turn)
            elif reason == "closed":
                turn.cancel()
        self._changed()

    def report_playback(self, heard_ms: float) -> None:
        """Record how much of the current or last reply the client has played."""
        turn = next((t for t in self._turns if t.speech_output.has_started), self._heard_last)
        if turn is not None:
            turn.speech_output.report_playback(heard_ms)
            if turn.speech_output.is_stopped:
                turn.keep()

    def _leave(self, turn: Turn, task: asyncio.Task[None]) -> None:
        if turn in self._turns:
            self._remove(turn)
            self._changed()

    def _remove(self, turn: Turn) -> None:
        self._turns.remove(turn)
        if turn.speech_output.has_started:
            self._heard_last = turn

    def _emit(self, event: Event) -> None:
        if isinstance(event, ReplyStarted | ReplyAudio):
            self._changed()
        self._event_bus.emit(event)


def _is_audible(turn: Turn) -> bool:
    return turn.speech_output.has_started or not turn.has_audio
