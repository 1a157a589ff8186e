"""Events of a conversation, one frozen dataclass for every kind of step.

``at`` is the event loop's clock in seconds. ``turn`` counts the user's turns of a session from 1;
0 is before the first. Observers (gateway, recorder, metrics) are called in order, on the event
loop, and must return at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.types import Language

__all__ = [
    "CaptionUpdated",
    "ClauseReady",
    "Event",
    "FinalTranscript",
    "Observer",
    "ReplyAudio",
    "ReplyFinished",
    "ReplyInterrupted",
    "ReplyPaused",
    "ReplyResumed",
    "ReplyStarted",
    "ReplyText",
    "SegmentTranscribed",
    "SpeculationDropped",
    "SpeculationStarted",
    "SpeechAudio",
    "SpeechRejected",
    "SpeechStarted",
    "StateChanged",
    "TurnEnded",
    "TurnFailed",
    "TurnLatencies",
    "TurnMetrics",
    "UserText",
]

Stage = Literal["listening", "recognition", "thinking", "synthesis"]


@dataclass(frozen=True, slots=True)
class _TurnEvent:
    turn: int
    at: float


@dataclass(frozen=True, slots=True)
class StateChanged(_TurnEvent):
    """The conversation's state has changed to listening, thinking or speaking."""

    state: Literal["listening", "thinking", "speaking"]


@dataclass(frozen=True, slots=True)
class SpeechStarted(_TurnEvent):
    """User speech has started; ``audio_ms`` is its position in all audio received."""

    audio_ms: float


@dataclass(frozen=True, slots=True)
class SpeechAudio(_TurnEvent):
    """Audio of the user's utterance (16 kHz), in order and without gaps.

    Begins with the pre-roll, directly after `SpeechStarted`; ends with `TurnEnded` or `SpeechRejected`.
    """

    pcm: Pcm = field(repr=False)


@dataclass(frozen=True, slots=True)
class SpeechRejected(_TurnEvent):
    """The detected sound is not a turn: a cough, a click, or a backchannel over the reply.

    Attributes:
        text: Its transcript; empty if unknown.
    """

    text: str


@dataclass(frozen=True, slots=True)
class CaptionUpdated(_TurnEvent):
    """The partial caption of the utterance has changed; ``text`` is the whole caption so far."""

    text: str


@dataclass(frozen=True, slots=True)
class SegmentTranscribed(_TurnEvent):
    """A segment of the ongoing utterance has been transcribed; ``text`` is the transcript so far."""

    text: str


@dataclass(frozen=True, slots=True)
class SpeculationStarted(_TurnEvent):
    """The turn may be over: recognition and the reply start speculatively, before it is certain."""


@dataclass(frozen=True, slots=True)
class SpeculationDropped(_TurnEvent):
    """The speaker has resumed; the speculative work is discarded."""


@dataclass(frozen=True, slots=True)
class TurnEnded(_TurnEvent):
    """The user's turn is over.

    Attributes:
        last_voiced_at: t0, the time of the last voiced frame: all latencies count from it.
        audio_ms: Position of the utterance's end in all audio received.
        reason: What ended it; ``limit``: the maximum length; speech that continues is another utterance.
    """

    last_voiced_at: float
    audio_ms: float
    reason: Literal["silence", "complete", "incomplete", "committed", "limit", "closed"]


@dataclass(frozen=True, slots=True)
class UserText(_TurnEvent):
    """The user typed instead of speaking."""

    text: str


@dataclass(frozen=True, slots=True)
class FinalTranscript(_TurnEvent):
    """The final transcript of the utterance is known."""

    text: str
    language: Language | None


@dataclass(frozen=True, slots=True)
class ReplyStarted(_TurnEvent):
    """The reply of the turn starts; nothing of it has left the server before this event.

    Attributes:
        reply: Id of the reply, on every event of it.
        voice: Id of its voice; empty: text only.
        speed: Speaking rate; 1.0 is the voice's own pace.
    """

    reply: str
    voice: str = ""
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class ReplyText(_TurnEvent):
    """New text of the reply, for display."""

    reply: str
    text: str


@dataclass(frozen=True, slots=True)
class ClauseReady(_TurnEvent):
    """Synthesis of a clause has started to deliver; its audio begins at ``start_ms`` of the reply.

    Attributes:
        synthesis_ms: Time until the first audio of the clause.
    """

    reply: str
    index: int
    text: str
    start_ms: float
    synthesis_ms: float


@dataclass(frozen=True, slots=True)
class ReplyAudio(_TurnEvent):
    """Audio of the reply at the synthesizer's rate; ``start_ms`` is its position in the reply.

    After `ReplyResumed`, audio that the listener has not heard is sent again.
    """

    reply: str
    pcm: Pcm = field(repr=False)
    rate: int
    start_ms: float


@dataclass(frozen=True, slots=True)
class ReplyPaused(_TurnEvent):
    """Playback is paused because of speech over the reply; it may or may not be an interruption."""

    reply: str
    heard_ms: float


@dataclass(frozen=True, slots=True)
class ReplyResumed(_TurnEvent):
    """The speech over the reply was a backchannel or a cough; the reply resumes at ``heard_ms``."""

    reply: str
    heard_ms: float


@dataclass(frozen=True, slots=True)
class ReplyInterrupted(_TurnEvent):
    """The reply was stopped before its end, possibly before anything was sent (no `ReplyStarted`).

    May follow `ReplyFinished` while the audio is still playing.

    Attributes:
        heard_ms: Milliseconds of the reply that were played.
        heard_text: The text within them, which the history keeps.
    """

    reply: str
    heard_ms: float
    heard_text: str
    reason: Literal["barge_in", "cancelled", "closed"]


@dataclass(frozen=True, slots=True)
class ReplyFinished(_TurnEvent):
    """The whole reply has been synthesized (it may still be playing)."""

    reply: str
    text: str
    audio_ms: float


@dataclass(frozen=True, slots=True)
class TurnFailed(_TurnEvent):
    """A stage of the turn failed; ``apology`` is the sentence for the user, spoken if possible."""

    stage: Stage
    kind: str
    message: str
    apology: str


@dataclass(frozen=True, slots=True)
class TurnLatencies:
    """Latencies and amounts of work of one turn.

    Attributes ending in ``_ms`` are milliseconds since the user's last voiced frame, None if the event did
    not happen.

    Attributes:
        speech_s: Length of the last segment recognized.
        recognition_s: Time the recognizer took for it, queueing included.
        tokens: Pieces of text received from the language model.
        writing_s: Time spent waiting for the language model, queueing included.
        reply_audio_s: Length of the reply's audio.
    """

    endpoint_ms: float | None = None
    transcript_ms: float | None = None
    first_token_ms: float | None = None
    first_clause_ms: float | None = None
    first_audio_ms: float | None = None
    last_audio_ms: float | None = None
    speech_s: float = 0.0
    recognition_s: float = 0.0
    tokens: int = 0
    writing_s: float = 0.0
    reply_audio_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TurnMetrics(_TurnEvent):
    """The turn is complete; ``timing`` holds the latencies of all its stages."""

    timing: TurnLatencies


Event: TypeAlias = (
    StateChanged
    | SpeechStarted
    | SpeechAudio
    | SpeechRejected
    | CaptionUpdated
    | SegmentTranscribed
    | SpeculationStarted
    | SpeculationDropped
    | TurnEnded
    | UserText
    | FinalTranscript
    | ReplyStarted
    | ReplyText
    | ClauseReady
    | ReplyAudio
    | ReplyPaused
    | ReplyResumed
    | ReplyInterrupted
    | ReplyFinished
    | TurnFailed
    | TurnMetrics
)

Observer: TypeAlias = Callable[[Event], None]
