"""Conversion of voice rows of the store to the public types."""

import logging
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kuaimei.store.voices import VoiceRow
from kuaimei.voices.training.environment.state import EnvironmentState
from kuaimei.voices.types import Check, Consent, Pitch, Step, TrainingState, TrainingStatus, Voice

__all__ = [
    "STEPS",
    "TRAINING_STATES",
    "TrainingRecord",
    "next_step",
    "pitch_of",
    "training_record_of",
    "voice_from_row",
]

_log = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseModel)

STEPS: Final[tuple[Step, ...]] = ("predicted", "style", "decoder")
TRAINING_STATES: Final[tuple[TrainingState, ...]] = ("waiting", "running", "paused")
"""Training states in which a job exists."""


_UNREADABLE: Final = (
    "the training progress cannot be read: it was stored by another version; train the voice again"
)


class TrainingRecord(TrainingStatus):
    """Training progress as stored in the voice row; unknown fields of later versions are ignored.

    Attributes:
        target: The step after which training ends.
        reached: The last step whose result is in use.
        reason: Not stored, because it changes without a write.
    """

    model_config = ConfigDict(extra="ignore")

    target: Step = "predicted"
    reached: Step = "predicted"
    reason: str | None = Field(default=None, exclude=True)

    def public(self) -> TrainingStatus:
        """Return the part that clients see."""
        return TrainingStatus(**self.model_dump(include=set(TrainingStatus.model_fields)))


def training_record_of(row: VoiceRow) -> TrainingRecord:
    """Return the training record in ``row``; ``failed`` if it cannot be read."""
    return _read(TrainingRecord, row.learning, row) or TrainingRecord(state="failed", error=_UNREADABLE)


def pitch_of(row: VoiceRow) -> Pitch | None:
    """Return the pitch range of the voice; None if it is unknown or cannot be read."""
    return None if row.pitch is None else _read(Pitch, row.pitch, row)


def next_step(step: Step) -> Step:
    """Return the training step that follows ``step``; the last one follows itself."""
    return STEPS[min(STEPS.index(step) + 1, len(STEPS) - 1)]


def voice_from_row(
    row: VoiceRow, cloned_similarity: float, environment: EnvironmentState | None = None
) -> Voice:
    """Convert ``row`` to the public type.

    Args:
        row: Database row of the voice.
        cloned_similarity: Measured similarity from which on the voice is labelled ``cloned``.
        environment: State of the training environment, which a waiting voice may be waiting for; None:
            unknown here.
    """
    checks = [_read(Check, check, row) for check in row.checks]
    consent = _read(Consent, row.consent, row)
    if consent is None:
        consent = Consent(speaker="–", statement="–", at=row.created_at)
    cloned = row.similarity is not None and row.similarity >= cloned_similarity
    return Voice.model_validate(
        {
            "id": row.id,
            "owner": row.owner,
            "name": row.name,
            "created_at": row.created_at,
            "language": row.language,
            "state": row.state,
            "stage": row.stage,
            "error": row.error,
            "transcript": row.transcript,
            "duration_s": row.duration_s,
            "checks": tuple(check for check in checks if check is not None),
            "pitch": pitch_of(row),
            "consent": consent,
            "learning": _waiting_for(training_record_of(row).public(), environment),
            "similarity": row.similarity,
            "label": "cloned" if cloned else "similar",
            "shared": row.shared,
        }
    )


def _waiting_for(learning: TrainingStatus, environment: EnvironmentState | None) -> TrainingStatus:
    """Add why the voice waits, if it waits for the training environment."""
    if learning.state != "waiting" or environment is None or environment.state == "ready":
        return learning
    if environment.state in ("making", "waiting"):
        return learning.model_copy(update={"reason": environment.detail})
    return learning.model_copy(update={"state": "unavailable", "error": environment.detail})


def _read(kind: type[T], kept: Mapping[str, Any], row: VoiceRow) -> T | None:
    try:
        return kind.model_validate(kept)
    except ValidationError as error:
        wrong = ", ".join(str(part) for detail in error.errors() for part in detail["loc"])
        _log.warning("the stored data of the voice %s cannot be read (%s: %s)", row.id, kind.__name__, wrong)
        return None
