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
    "Observer",
    "PieceRecognised",
    "ReplyAudio",
    "ReplyFinished",
    "ReplyHeld",
    "ReplyInterrupted",
    "ReplyResumed",
    "ReplyStarted",
    "ReplyText",
    "SpeculationDropped",
    "SpeculationStarted",
    "SpeechDropped",
    "SpeechHeard",
    "SpeechStarted",
    "StateChanged",
    "TranscriptFinal",
    "TurnEnded",
    "TurnFailed",
    "TurnTimed",
    "TurnTiming",
    "UserText",
]

Stage = Literal["listening", "recognition", "thinking", "synthesis"]


@dataclass(frozen=True, slots=True)
class _Step:
    turn: int
    at: float


@dataclass(frozen=True, slots=True)
class StateChanged(_Step):
    """The conversation is now listening, thinking or speaking."""

    state: Literal["listening", "thinking", "speaking"]


@dataclass(frozen=True, slots=True)
class SpeechStarted(_Step):
    """Somebody began to speak; ``audio_ms`` is where in all the audio received."""

    audio_ms: float


@dataclass(frozen=True, slots=True)
class SpeechHeard(_Step):
    """Audio that belongs to the user's utterance (16 kHz), in order and without gaps.

    Begins with the pre-roll, directly after `SpeechStarted`; ends with `TurnEnded` or `SpeechDropped`.
    """

    pcm: Pcm = field(repr=False)


@dataclass(frozen=True, slots=True)
class SpeechDropped(_Step):
    """What was heard is no turn: a cough, a click, or a backchannel over the reply; ``text`` if known."""

    text: str


@dataclass(frozen=True, slots=True)
class CaptionUpdated(_Step):
    """Partial caption of the whole utterance so far."""

    text: str


@dataclass(frozen=True, slots=True)
class PieceRecognised(_Step):
    """A part of the utterance is understood while it goes on; ``text`` is all that is known of it by now."""

    text: str


@dataclass(frozen=True, slots=True)
class SpeculationStarted(_Step):
    """The turn is guessed to be over: recognition (and what follows) starts before it is certain."""


@dataclass(frozen=True, slots=True)
class SpeculationDropped(_Step):
    """The speaker went on; what was begun on the guess is thrown away."""


@dataclass(frozen=True, slots=True)
class TurnEnded(_Step):
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
class UserText(_Step):
    """The user typed instead of speaking."""

    text: str


@dataclass(frozen=True, slots=True)
class TranscriptFinal(_Step):
    """What was understood of the utterance."""

    text: str
    language: Language | None


@dataclass(frozen=True, slots=True)
class ReplyStarted(_Step):
    """The turn's reply begins to come out; nothing of it left the house before this event.

    Attributes:
        reply: Id of the reply, on every event of it.
        voice: In which it is spoken; empty: it is only written.
        speed: … and how fast; 1.0 is the voice's own pace.
    """

    reply: str
    voice: str = ""
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class ReplyText(_Step):
    """New text of the reply, as it is to be shown."""

    reply: str
    text: str


@dataclass(frozen=True, slots=True)
class ClauseReady(_Step):
    """A clause has been synthesised; its audio follows, beginning at ``start_ms`` of the reply."""

    reply: str
    index: int
    text: str
    start_ms: float
    synthesis_ms: float


@dataclass(frozen=True, slots=True)
class ReplyAudio(_Step):
    """Audio of the reply at the synthesiser's rate; ``start_ms`` is its place in the reply.

    After `ReplyResumed` pieces come again from where the listener stopped hearing.
    """

    reply: str
    pcm: Pcm = field(repr=False)
    rate: int
    start_ms: float


@dataclass(frozen=True, slots=True)
class ReplyHeld(_Step):
    """Speech over the reply: silence at once; whether it is an interruption is not yet known."""

    reply: str
    heard_ms: float


@dataclass(frozen=True, slots=True)
class ReplyResumed(_Step):
    """It was a backchannel or a cough; the reply goes on from ``heard_ms``."""

    reply: str
    heard_ms: float


@dataclass(frozen=True, slots=True)
class ReplyInterrupted(_Step):
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
class ReplyFinished(_Step):
    """The whole reply has been handed over (it may still be playing)."""

    reply: str
    text: str
    audio_ms: float


@dataclass(frozen=True, slots=True)
class TurnFailed(_Step):
    """A stage failed; ``apology`` is what the user is told, spoken where that is possible."""

    stage: Stage
    kind: str
    message: str
    apology: str


@dataclass(frozen=True, slots=True)
class TurnTiming:
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
class TurnTimed(_Step):
    """The turn is complete, with the timings of all its stages."""

    timing: TurnTiming


Event: TypeAlias = (
    StateChanged
    | SpeechStarted
    | SpeechHeard
    | SpeechDropped
    | CaptionUpdated
    | PieceRecognised
    | SpeculationStarted
    | SpeculationDropped
    | TurnEnded
    | UserText
    | TranscriptFinal
    | ReplyStarted
    | ReplyText
    | ClauseReady
    | ReplyAudio
    | ReplyHeld
    | ReplyResumed
    | ReplyInterrupted
    | ReplyFinished
    | TurnFailed
    | TurnTimed
)

Observer: TypeAlias = Callable[[Event], None]
