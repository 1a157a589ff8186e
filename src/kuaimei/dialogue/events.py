"""Every step of a conversation, as frozen events on one stream.

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
    """The conversation is now listening, thinking or speaking."""

    state: Literal["listening", "thinking", "speaking"]


@dataclass(frozen=True, slots=True)
class SpeechStarted(_TurnEvent):
    """Somebody began to speak; ``audio_ms`` is where in all the audio received."""

    audio_ms: float


@dataclass(frozen=True, slots=True)
class SpeechAudio(_TurnEvent):
    """Audio that belongs to the user's utterance (16 kHz), in order and without gaps.

    Begins with the pre-roll, directly after `SpeechStarted`; ends with `TurnEnded` or `SpeechRejected`.
    """

    pcm: Pcm = field(repr=False)


@dataclass(frozen=True, slots=True)
class SpeechRejected(_TurnEvent):
    """What was heard is no turn: a cough, a click, or a backchannel over the reply; ``text`` if known."""

    text: str


@dataclass(frozen=True, slots=True)
class CaptionUpdated(_TurnEvent):
    """Partial caption of the whole utterance so far."""

    text: str


@dataclass(frozen=True, slots=True)
class SegmentTranscribed(_TurnEvent):
    """A part of the utterance is understood while it goes on; ``text`` is all that is known of it by now."""

    text: str


@dataclass(frozen=True, slots=True)
class SpeculationStarted(_TurnEvent):
    """The turn is guessed to be over: recognition (and what follows) starts before it is certain."""


@dataclass(frozen=True, slots=True)
class SpeculationDropped(_TurnEvent):
    """The speaker went on; what was begun on the guess is thrown away."""


@dataclass(frozen=True, slots=True)
class TurnEnded(_TurnEvent):
    """The user's turn is over.

    Attributes:
        last_voiced_at: t0, the time of the last voiced frame: all latencies count from it.
        audio_ms: Where in all the audio received the utterance ends.
        reason: What decided; ``limit``: it had become too long, and what is said now is another one.
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
    """What was understood of the utterance."""

    text: str
    language: Language | None


@dataclass(frozen=True, slots=True)
class ReplyStarted(_TurnEvent):
    """The turn's reply begins to come out; nothing of it left the server before this event.

    Attributes:
        reply: Id of the reply, on every event of it.
        voice: In which it is spoken; empty: it is only written.
        speed: … and how fast; 1.0 is the voice's own pace.
    """

    reply: str
    voice: str = ""
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class ReplyText(_TurnEvent):
    """New text of the reply, as it is to be shown."""

    reply: str
    text: str


@dataclass(frozen=True, slots=True)
class ClauseReady(_TurnEvent):
    """A clause has been synthesised; its audio follows, beginning at ``start_ms`` of the reply."""

    reply: str
    index: int
    text: str
    start_ms: float
    synthesis_ms: float


@dataclass(frozen=True, slots=True)
class ReplyAudio(_TurnEvent):
    """Audio of the reply at the synthesiser's rate; ``start_ms`` is its place in the reply.

    After `ReplyResumed` pieces come again from where the listener stopped hearing.
    """

    reply: str
    pcm: Pcm = field(repr=False)
    rate: int
    start_ms: float


@dataclass(frozen=True, slots=True)
class ReplyPaused(_TurnEvent):
    """Speech over the reply: silence at once; whether it is an interruption is not yet known."""

    reply: str
    heard_ms: float


@dataclass(frozen=True, slots=True)
class ReplyResumed(_TurnEvent):
    """It was a backchannel or a cough; the reply goes on from ``heard_ms``."""

    reply: str
    heard_ms: float


@dataclass(frozen=True, slots=True)
class ReplyInterrupted(_TurnEvent):
    """The reply is over before its end; also where nothing of it had come out yet (no `ReplyStarted`).

    May follow `ReplyFinished`, whose audio is still playing.

    Attributes:
        heard_ms: How much of it was played.
        heard_text: The words within that, the ones the history keeps.
    """

    reply: str
    heard_ms: float
    heard_text: str
    reason: Literal["barge_in", "cancelled", "closed"]


@dataclass(frozen=True, slots=True)
class ReplyFinished(_TurnEvent):
    """The whole reply has been handed over (it may still be playing)."""

    reply: str
    text: str
    audio_ms: float


@dataclass(frozen=True, slots=True)
class TurnFailed(_TurnEvent):
    """A stage failed; ``apology`` is what the user is told, spoken where that is possible."""

    stage: Stage
    kind: str
    message: str
    apology: str


@dataclass(frozen=True, slots=True)
class TurnLatencies:
    """Milliseconds from the last voiced frame of the user; None for what did not happen."""

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
    """The turn is complete, with the timings of all its stages."""

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
