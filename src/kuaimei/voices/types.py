"""What is known of a cloned voice: the public types at the boundary."""

from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Check",
    "Consent",
    "Label",
    "Pitch",
    "Step",
    "TrainingState",
    "TrainingStatus",
    "Verdict",
    "Voice",
    "VoiceState",
]

Verdict: TypeAlias = Literal["ok", "warning", "refused"]
VoiceState: TypeAlias = Literal["preparing", "ready", "failed"]
Step: TypeAlias = Literal["predicted", "style", "decoder"]
TrainingState: TypeAlias = Literal[
    "waiting", "running", "paused", "done", "failed", "cancelled", "unavailable"
]
Label: TypeAlias = Literal["similar", "cloned"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Check(_Frozen):
    """One thing that was looked at in a reference recording.

    Attributes:
        check: Its name, such as ``noise``.
        value: What was measured, in ``unit``; None: it could not be, and the advice says why.
        advice: In ``zh`` (Traditional Chinese) and ``en``: what it means and what to do.
    """

    check: str
    verdict: Verdict
    value: float | None = None
    unit: str = ""
    advice: dict[Literal["zh", "en"], str]


class Pitch(_Frozen):
    """The range in which a voice speaks.

    Attributes:
        mean_hz: Geometric mean of F0 where the speech is voiced.
        low_hz: Its 5th percentile.
        high_hz: Its 95th percentile.
        log_sd: Standard deviation of ln F0: how lively the speech is (0.1 flat, 0.3 acted).
    """

    mean_hz: float
    low_hz: float
    high_hz: float
    log_sd: float


class Consent(_Frozen):
    """Who allowed that this voice is copied.

    Attributes:
        speaker: Whose voice it is.
        statement: What was agreed to, word for word.
        at: When (UTC).
    """

    speaker: str = Field(min_length=1)
    statement: str = Field(min_length=1)
    at: datetime


class TrainingStatus(_Frozen):
    """How far learning the voice has come.

    Attributes:
        step: ``predicted`` is what is there at once; the others are learned.
        progress: Of ``step``, from 0 to 1.
        similarity: Cosine so far; None while unknown.
        eta_s: Seconds that ``step`` will still take; None while unknown.
        error: Why it failed or is unavailable, in one sentence.
        reason: Why it waits, in one sentence, if not only for its turn.
    """

    step: Step = "predicted"
    state: TrainingState = "waiting"
    progress: float = Field(0.0, ge=0.0, le=1.0)
    similarity: float | None = None
    eta_s: float | None = None
    error: str | None = None
    reason: str | None = None


class Voice(_Frozen):
    """A cloned voice.

    Attributes:
        id: ``voice_…``; a name of the synthesiser's from when the voice is ready.
        owner: Whose it is.
        language: In which the reference speaks; None while unknown.
        stage: What is being done while it is being prepared: ``listening``, ``predicting``; else empty.
        error: Why preparing failed, in one sentence.
        transcript: What is said in the reference; None while unknown.
        duration_s: Of the reference.
        similarity: Cosine of the voice as it speaks now with the reference; None until measured.
        label: ``cloned`` once that is high enough.
        shared: Everybody may speak in it; to change or delete it is its owner's alone.
    """

    id: str
    owner: str
    name: str
    created_at: datetime
    language: Literal["zh", "en"] | None = None
    state: VoiceState = "preparing"
    stage: str = ""
    error: str | None = None
    transcript: str | None = None
    duration_s: float
    checks: tuple[Check, ...] = ()
    pitch: Pitch | None = None
    consent: Consent
    learning: TrainingStatus = TrainingStatus()
    similarity: float | None = None
    label: Label = "similar"
    shared: bool = False
