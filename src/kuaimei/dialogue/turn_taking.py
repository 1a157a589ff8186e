"""Turn-taking policy: classifies detected speech as a turn, an interruption, a backchannel or noise."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.active_turns import ActiveTurns
from kuaimei.dialogue.backchannel import is_backchannel
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.event_bus import EventBus
from kuaimei.dialogue.events import (
    CaptionUpdated,
    SegmentTranscribed,
    SpeculationDropped,
    SpeculationStarted,
    SpeechAudio,
    SpeechRejected,
    SpeechStarted,
    TurnEnded,
)
from kuaimei.dialogue.reply_options import ReplyOptions
from kuaimei.dialogue.task_set import TaskSet
from kuaimei.dialogue.turn import Turn
from kuaimei.dialogue.utterance import Transcript, Utterance
from kuaimei.dialogue.utterance_detector import EndReason, UtteranceDetector
from kuaimei.settings import DialogueSettings

__all__ = ["TurnTaking"]

_MIN_CAPTION_CHARS = 2
"""Minimum characters of a caption that interrupts a reply; a single one may be a misheard cough."""


@dataclass(slots=True, eq=False)
class _PendingTurn:
    """An utterance in progress, or one that has ended and is not yet accepted as a turn.

    Attributes:
        turn: The speculative turn, if it has begun.
        end: Position of the end in all audio received (ms), and the reason; None while it is in progress.
        over: Set once the utterance has ended.
    """

    utterance: Utterance
    number: int
    turn: Turn | None = None
    end: tuple[float, EndReason] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class TurnTaking:
    """Decides what the speech found by the utterance detector is.

    Speech over a reply pauses it at once. It is an interruption if it lasts, if its caption contains words,
    or if its transcript is more than a backchannel; otherwise the reply resumes where it stopped.

    Args:
        engines: Engines for detection and for speculative turns.
        settings: Initial value of the attribute.
        session: Id of the session.
        tasks: Task set for detection and transcription.
        event_bus: Receives the events and numbers the turns.
        active_turns: Creates, commits and interrupts turns.
        reply_options: Returns the current reply options.
        changed: Called after every change of the detected speech.

    Attributes:
        detector: The utterance detector that all audio is pushed to.
        unanswered: Number and t0 of the latest turn that has not been answered.
        settings: Current settings.
    """

    def __init__(
        self,
        engines: Engines,
        settings: DialogueSettings,
        session: str,
        tasks: TaskSet,
        event_bus: EventBus,
        active_turns: ActiveTurns,
        reply_options: Callable[[], ReplyOptions],
        changed: Callable[[], None],
    ) -> None:
        self.settings = settings
        self._event_bus = event_bus
        self._active_turns = active_turns
        self._reply_options = reply_options
        self._changed = changed
        self._pending: _PendingTurn | None = None
        self.detector = UtteranceDetector(engines, settings, session, tasks, self)
        self.unanswered: tuple[int, float] | None = None

    @property
    def has_pending_speech(self) -> bool:
        """True while an utterance is in progress or not yet accepted or rejected."""
        return self._pending is not None

    @property
    def may_interrupt(self) -> bool:
        """True if speech over the reply may stop it."""
        return self._reply_options().interrupt and self.detector.endpointing

    def commit(self) -> bool:
        """End the current utterance now and accept it as a turn; return False if there is none."""
        heard = self._pending
        if heard is not None and heard.end is not None:
            self._accept_turn(heard)
            return True
        return self.detector.commit()

    def clear(self) -> None:
        """Discard the current utterance."""
        if self._pending is not None:
            self._reject_turn(self._pending, "")
        self.detector.clear()

    def restart_speculation(self) -> None:
        """Restart the speculative turn so that its reply sees the turn that has just been added."""
        heard = self._pending
        if heard is not None and heard.turn is not None:
            heard.turn.cancel()
            heard.turn = self._start_speculation(heard)

    async def close(self) -> None:
        """End the current utterance without a reply."""
        heard = self._pending
        if heard is not None and heard.end is not None:
            self.speech_ended(heard.utterance, heard.end[0], "closed")
        await self.detector.close()

    # Callbacks of the utterance detector

    def speech_started(self, utterance: Utterance, audio_ms: float) -> None:
        """Pause a reply that is being spoken; whether this is an interruption is decided later."""
        if self._pending is not None:
            self._accept_turn(self._pending)  # more speech follows, so it was not just a cough
        self._pending = _PendingTurn(utterance, self._event_bus.allocate_turn_number())
        self._event_bus.emit(SpeechStarted(self._pending.number, _now(), audio_ms))
        if self.may_interrupt:
            self._active_turns.pause_reply()
        self._changed()

    def speech_audio(self, pcm: Pcm) -> None:
        """Emit audio of the utterance."""
        if self._pending is not None:
            self._event_bus.emit(SpeechAudio(self._pending.number, _now(), pcm))

    def speech_continues(self, voiced_ms: float) -> None:
        """Interrupt the paused reply once the speech is too long for a backchannel."""
        if voiced_ms >= self.settings.barge_in_confirm_ms and self._active_turns.is_paused:
            self._active_turns.interrupt("barge_in")

    def speech_paused(self, utterance: Utterance) -> None:
        """Start the turn speculatively, as if the utterance were over."""
        heard = self._pending
        if heard is not None:
            self._event_bus.emit(SpeculationStarted(heard.number, _now()))
            heard.turn = self._start_speculation(heard)

    def answer_ready(self, utterance: Utterance) -> bool:
        """Return True if the speculative turn can be answered at once."""
        heard = self._pending
        return heard is None or heard.turn is None or heard.turn.ready

    def speech_resumed(self, utterance: Utterance) -> None:
        """Cancel the speculative turn."""
        heard = self._pending
        if heard is not None and heard.turn is not None:
            heard.turn.cancel()
            heard.turn = None
            self._event_bus.emit(SpeculationDropped(heard.number, _now()))

    def speech_ended(self, utterance: Utterance, audio_ms: float, reason: EndReason) -> None:
        """Accept the utterance as a turn, unless that depends on its transcript."""
        heard = self._pending
        if heard is None:
            return
        heard.end = (audio_ms, reason)
        if reason == "closed":
            self._abandon(heard)
            self._event_bus.emit(TurnEnded(heard.number, _now(), utterance.last_voiced_at, audio_ms, reason))
            return
        heard.turn = heard.turn or self._start_speculation(heard)
        heard.over.set()
        certain = reason in {"committed", "limit"}
        doubtful = not certain and (self._is_brief(heard) or self._active_turns.answering)
        if heard.turn.understood or not doubtful:
            self._accept_turn(heard)

    def speech_discarded(self, utterance: Utterance) -> None:
        """Reject the utterance: it was a click."""
        if self._pending is not None:
            self._reject_turn(self._pending, "")

    def segment_transcribed(self, utterance: Utterance) -> None:
        """Emit the transcript so far of the utterance in progress."""
        heard = self._pending
        if heard is not None and heard.utterance is utterance and heard.end is None and utterance.known_text:
            self._event_bus.emit(SegmentTranscribed(heard.number, _now(), utterance.known_text))

    def caption_updated(self, text: str) -> None:
        """Emit the caption; words over the paused reply interrupt it."""
        if self._pending is None:
            return
        self._event_bus.emit(CaptionUpdated(self._pending.number, _now(), text))
        if self._active_turns.is_paused and len(text) >= _MIN_CAPTION_CHARS and not is_backchannel(text):
            self._active_turns.interrupt("barge_in")

    # Acceptance and rejection

    def _start_speculation(self, heard: _PendingTurn) -> Turn:
        async def approve(transcript: Transcript | None) -> bool:
            return await self._approve_turn(heard, transcript)

        utterance = heard.utterance
        t0 = utterance.last_voiced_at
        return self._active_turns.begin(
            heard.number, self._reply_options(), t0, utterance=utterance, approve=approve
        )

    def _is_brief(self, heard: _PendingTurn) -> bool:
        return heard.utterance.voiced_ms < self.settings.barge_in_confirm_ms

    async def _approve_turn(self, heard: _PendingTurn, transcript: Transcript | None) -> bool:
        """Return whether ``heard`` is a turn, given its transcript (None: recognition failed).

        A backchannel over a reply, and a short sound without words, are rejected here.
        """
        text = transcript.text if transcript is not None else ""
        # If recognition failed, only the length is known: long speech is not a backchannel.
        backchannel = self._is_brief(heard) if transcript is None else is_backchannel(text)
        if self._active_turns.answering and self._pending is heard and backchannel:
            quiet_at = heard.utterance.last_voiced_at + self.settings.false_alarm_silence_ms / 1000.0
            await asyncio.sleep(max(0.0, quiet_at - _now()))
            if self._active_turns.answering and self._pending is heard:
                self._reject_turn(heard, text)
                return False
        if transcript is not None and not text and self._is_brief(heard):
            await heard.over.wait()
            if self._pending is heard:  # a noise without words
                self._reject_turn(heard, text)
                return False
        if self._pending is heard:
            if self.may_interrupt:
                self._active_turns.interrupt("barge_in")
            if heard.end is not None:
                self._accept_turn(heard)
        return True

    def _accept_turn(self, heard: _PendingTurn) -> None:
        """Commit ``heard`` as a turn; no effect while the utterance is in progress."""
        if heard.end is None or heard.turn is None:
            return
        self._pending = None
        audio_ms, reason = heard.end
        t0 = heard.utterance.last_voiced_at
        if self._reply_options().interrupt or reason == "committed":
            self._active_turns.interrupt("barge_in")
        else:
            self._active_turns.resume_reply()  # it may have been paused while interruptions were allowed
        self.unanswered = None if heard.turn.wants_reply else (heard.number, t0)
        self._event_bus.emit(TurnEnded(heard.number, _now(), t0, audio_ms, reason))
        self._active_turns.commit(heard.turn, t0)

    def _reject_turn(self, heard: _PendingTurn, text: str) -> None:
        """Discard ``heard`` and resume the reply that was paused for it."""
        if heard.end is None:
            self.detector.drop()
        self._abandon(heard)
        self._event_bus.emit(SpeechRejected(heard.number, _now(), text))
        self._event_bus.release_turn_number(heard.number)
        self._active_turns.resume_reply()
        self._changed()

    def _abandon(self, heard: _PendingTurn) -> None:
        self._pending = None
        heard.utterance.abandon()
        if heard.turn is not None and heard.turn.task is not asyncio.current_task():
            heard.turn.cancel()


def _now() -> float:
    return asyncio.get_running_loop().time()
