"""Public types of cloned voices."""

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
    """Result of one check of a reference recording.

    Attributes:
        check: Its name, such as ``noise``.
        value: Measured value, in ``unit``; None: it could not be measured, and the advice says why.
        advice: What the result means and what to do, in ``zh`` (Traditional Chinese) and ``en``.
    """

    check: str
    verdict: Verdict
    value: float | None = None
    unit: str = ""
    advice: dict[Literal["zh", "en"], str]


class Pitch(_Frozen):
    """Pitch range of a voice.

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
    """Consent of the speaker to the cloning of their voice.

    Attributes:
        speaker: Name of the speaker.
        statement: Wording of what was agreed to.
        at: Time of the consent (UTC).
    """

    speaker: str = Field(min_length=1)
    statement: str = Field(min_length=1)
    at: datetime


class TrainingStatus(_Frozen):
    """Training progress of a voice.

    Attributes:
        step: ``predicted`` is available at once; the others are trained.
        progress: Progress of ``step``, from 0 to 1.
        similarity: Cosine so far; None while unknown.
        eta_s: Seconds that ``step`` will still take; None while unknown.
        error: Why it failed or is unavailable, in one sentence.
        reason: Why it waits, in one sentence, unless it only waits in the queue.
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
            id: ``voice_…``; a voice name of the synthesizer once the voice is ready.
            owner: Id of the person that the voice belongs to.
            language: Language of the reference; None while unknown.
            stage: Stage of preparing: ``listening``, ``predicting``; else empty.
            error: Why preparing failed, in one sentence.
            transcript: What is said in the reference; None while unknown.
            duration_s: Duration of the reference in seconds.
            similarity: Cosine between the voice as it speaks now and the reference; None until measured.
            label: ``cloned`` once the similarity is high enough.
            shared: All users may speak in it; only its owner may change or delete it.
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
