"""Between the rows of the store and the types at the boundary."""

from typing import Final

from pydantic import BaseModel, ValidationError

from kuaimei.store.voices import VoiceRow
from kuaimei.voices.types import Check, Learning, LearningState, Pitch, Step, Voice

__all__ = ["LEARNING", "STEPS", "Course", "course_of", "next_step", "to_voice"]

STEPS: Final[tuple[Step, ...]] = ("predicted", "style", "decoder")
LEARNING: Final[tuple[LearningState, ...]] = ("waiting", "running", "paused")
"""There is a job for it."""


class Course(Learning):
    """How learning goes, as it is kept.

    Attributes:
        target: The step after which it ends.
        reached: The last step whose result is in use.
    """

    target: Step = "predicted"
    reached: Step = "predicted"

    def told(self) -> Learning:
        """What clients see of it."""
        return Learning(**self.model_dump(include=set(Learning.model_fields)))


def next_step(step: Step) -> Step:
    """What is learned after ``step``."""
    return STEPS[min(STEPS.index(step) + 1, len(STEPS) - 1)]


def course_of(row: VoiceRow) -> Course:
    """How learning the voice in ``row`` goes.

    What another version of this program wrote there costs this one voice its learning and nothing else.
    """
    known = {name: value for name, value in row.learning.items() if name in Course.model_fields}
    try:
        return Course(**known)
    except ValidationError:
        told = "how far it was learned cannot be read: another version wrote it; learn it again"
        return Course(state="failed", error=told)


def _readable(kind: type[BaseModel], given: object) -> bool:
    try:
        kind.model_validate(given)
    except ValidationError:
        return False
    return True


def to_voice(row: VoiceRow, cloned_similarity: float) -> Voice:
    """The voice in ``row``; called cloned from that measured similarity on.

    What another version of this program wrote and this one cannot read is left out, not the voice.
    """
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
            "checks": [check for check in row.checks if _readable(Check, check)],
            "pitch": row.pitch if _readable(Pitch, row.pitch) else None,
            "consent": row.consent,
            "learning": course_of(row).told(),
            "similarity": row.similarity,
            "label": "cloned" if cloned else "similar",
        }
    )
