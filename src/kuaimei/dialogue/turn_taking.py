"""What is being heard, and whether it is a turn, an interruption, or nothing at all."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.active_turns import Floor
from kuaimei.dialogue.backchannel import is_backchannel
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.event_bus import Journal
from kuaimei.dialogue.events import (
    CaptionUpdated,
    PieceRecognised,
    SpeculationDropped,
    SpeculationStarted,
    SpeechDropped,
    SpeechHeard,
    SpeechStarted,
    TurnEnded,
)
from kuaimei.dialogue.reply_options import Manner
from kuaimei.dialogue.task_set import Tasks
from kuaimei.dialogue.turn import Turn
from kuaimei.dialogue.utterance import Transcript, Utterance
from kuaimei.dialogue.utterance_detector import EndReason, Listener
from kuaimei.settings import DialogueSettings

__all__ = ["Attention"]

_TELLING = 2
"""Characters of a caption that count as words over the reply; a single one may be a misheard cough."""


@dataclass(slots=True, eq=False)
class _Heard:
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


class Attention:
    """Follows the listener and decides.

    Speech over a reply holds it at once. It is an interruption if it lasts, if a caption has words in
    it, or if the transcript is more than a backchannel; otherwise the reply goes on where it stopped.

    Args:
        manner: How the user is to be answered now.
        changed: Called after every change of what is being heard.

    Attributes:
        listener: Whom the audio goes to.
        unanswered: Number and t0 of the latest turn that nobody has answered.
        settings: In force.
    """

    def __init__(
        self,
        engines: Engines,
        settings: DialogueSettings,
        session: str,
        tasks: Tasks,
        journal: Journal,
        floor: Floor,
        manner: Callable[[], Manner],
        changed: Callable[[], None],
    ) -> None:
        self.settings = settings
        self._journal = journal
        self._floor = floor
        self._manner = manner
        self._changed = changed
        self._heard: _Heard | None = None
        self.listener = Listener(engines, settings, session, tasks, self)
        self.unanswered: tuple[int, float] | None = None

    @property
    def hearing(self) -> bool:
        """Something is being heard, or not yet decided on."""
        return self._heard is not None

    @property
    def may_interrupt(self) -> bool:
        """Speech over the reply stops it."""
        return self._manner().interrupt and self.listener.endpointing

    def commit(self) -> bool:
        """What is being said is a turn and ends now; False if nothing is."""
        heard = self._heard
        if heard is not None and heard.end is not None:
            self._settle(heard)
            return True
        return self.listener.commit()

    def clear(self) -> None:
        """Forget what is being said."""
        if self._heard is not None:
            self._drop(self._heard, "")
        self.listener.clear()

    def guess_again(self) -> None:
        """Something was typed or asked: what may be over is answered after that, and knows of it."""
        heard = self._heard
        if heard is not None and heard.turn is not None:
            heard.turn.cancel()
            heard.turn = self._guess(heard)

    async def close(self) -> None:
        """What is being said ends here, unanswered."""
        heard = self._heard
        if heard is not None and heard.end is not None:
            self.speech_ended(heard.utterance, heard.end[0], "closed")
        await self.listener.close()

    # What the listener tells

    def speech_started(self, utterance: Utterance, audio_ms: float) -> None:
        """Silence at once if a reply is being spoken; whether it is an interruption shows later."""
        if self._heard is not None:
            self._settle(self._heard)  # who speaks again did not merely cough
        self._heard = _Heard(utterance, self._journal.number())
        self._journal.emit(SpeechStarted(self._heard.number, _now(), audio_ms))
        if self.may_interrupt:
            self._floor.hold()
        self._changed()

    def speech_heard(self, pcm: Pcm) -> None:
        """Audio of the utterance."""
        if self._heard is not None:
            self._journal.emit(SpeechHeard(self._heard.number, _now(), pcm))

    def speech_continues(self, voiced_ms: float) -> None:
        """So much is no backchannel any more."""
        if voiced_ms >= self.settings.barge_in_confirm_ms and self._floor.held:
            self._floor.interrupt("barge_in")

    def speech_paused(self, utterance: Utterance) -> None:
        """The turn begins, on the guess that it is over."""
        heard = self._heard
        if heard is not None:
            self._journal.emit(SpeculationStarted(heard.number, _now()))
            heard.turn = self._guess(heard)

    def answer_ready(self, utterance: Utterance) -> bool:
        """The guess has led to something that can be heard at once."""
        heard = self._heard
        return heard is None or heard.turn is None or heard.turn.ready

    def speech_resumed(self, utterance: Utterance) -> None:
        """The guess was wrong."""
        heard = self._heard
        if heard is not None and heard.turn is not None:
            heard.turn.cancel()
            heard.turn = None
            self._journal.emit(SpeculationDropped(heard.number, _now()))

    def speech_ended(self, utterance: Utterance, audio_ms: float, reason: EndReason) -> None:
        """It is a turn, unless that depends on what was said."""
        heard = self._heard
        if heard is None:
            return
        heard.end = (audio_ms, reason)
        if reason == "closed":
            self._abandon(heard)
            self._journal.emit(TurnEnded(heard.number, _now(), utterance.last_voiced_at, audio_ms, reason))
            return
        heard.turn = heard.turn or self._guess(heard)
        heard.over.set()
        certain = reason in {"committed", "limit"}
        doubtful = not certain and (self._brief(heard) or self._floor.answering)
        if heard.turn.understood or not doubtful:
            self._settle(heard)

    def speech_too_short(self, utterance: Utterance) -> None:
        """A click."""
        if self._heard is not None:
            self._drop(self._heard, "")

    def piece_recognised(self, utterance: Utterance) -> None:
        """What is known of it by now, while it goes on."""
        heard = self._heard
        if heard is not None and heard.utterance is utterance and heard.end is None and utterance.known_text:
            self._journal.emit(PieceRecognised(heard.number, _now(), utterance.known_text))

    def caption_updated(self, text: str) -> None:
        """Words over the reply interrupt it."""
        if self._heard is None:
            return
        self._journal.emit(CaptionUpdated(self._heard.number, _now(), text))
        if self._floor.held and len(text) >= _TELLING and not is_backchannel(text):
            self._floor.interrupt("barge_in")

    # Whether it is a turn

    def _guess(self, heard: _Heard) -> Turn:
        async def approve(transcript: Transcript | None) -> bool:
            return await self._judge(heard, transcript)

        utterance = heard.utterance
        t0 = utterance.last_voiced_at
        return self._floor.begin(heard.number, self._manner(), t0, utterance=utterance, approve=approve)

    def _brief(self, heard: _Heard) -> bool:
        return heard.utterance.voiced_ms < self.settings.barge_in_confirm_ms

    async def _judge(self, heard: _Heard, transcript: Transcript | None) -> bool:
        """Whether ``transcript`` (None: recognition failed) makes a turn of what was heard."""
        text = transcript.text if transcript is not None else ""
        # Of what could not be recognised only the length is known: a few words are no backchannel.
        backchannel = self._brief(heard) if transcript is None else is_backchannel(text)
        if self._floor.answering and self._heard is heard and backchannel:
            quiet_at = heard.utterance.last_voiced_at + self.settings.false_alarm_silence_ms / 1000.0
            await asyncio.sleep(max(0.0, quiet_at - _now()))
            if self._floor.answering and self._heard is heard:
                self._drop(heard, text)
                return False
        if transcript is not None and not text and self._brief(heard):
            await heard.over.wait()
            if self._heard is heard:  # a noise without words
                self._drop(heard, text)
                return False
        if self._heard is heard:
            if self.may_interrupt:
                self._floor.interrupt("barge_in")
            if heard.end is not None:
                self._settle(heard)
        return True

    def _settle(self, heard: _Heard) -> None:
        """What was heard is a turn, and it is over."""
        if heard.end is None or heard.turn is None:
            return
        self._heard = None
        audio_ms, reason = heard.end
        t0 = heard.utterance.last_voiced_at
        if self._manner().interrupt or reason == "committed":
            self._floor.interrupt("barge_in")
        else:
            self._floor.resume()  # it may have been held while it could be interrupted
        self.unanswered = None if heard.turn.wants_reply else (heard.number, t0)
        self._journal.emit(TurnEnded(heard.number, _now(), t0, audio_ms, reason))
        self._floor.take(heard.turn, t0)

    def _drop(self, heard: _Heard, text: str) -> None:
        """What was heard is no turn; a reply that was held for it goes on."""
        if heard.end is None:
            self.listener.drop()
        self._abandon(heard)
        self._journal.emit(SpeechDropped(heard.number, _now(), text))
        self._journal.take_back(heard.number)
        self._floor.resume()
        self._changed()

    def _abandon(self, heard: _Heard) -> None:
        self._heard = None
        heard.utterance.abandon()
        if heard.turn is not None and heard.turn.task is not asyncio.current_task():
            heard.turn.cancel()


def _now() -> float:
    return asyncio.get_running_loop().time()
