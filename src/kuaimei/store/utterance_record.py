"""Record of an utterance that is not yet fully stored in the database."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from kuaimei.store.ids import new_id
from kuaimei.text.wellformed import to_well_formed

__all__ = ["LOCAL", "Role", "Text", "Tier", "UtteranceRecord", "UtteranceState"]

LOCAL: Final = "local"
"""Id of the person of the machine's own key, who is the default owner."""

Role: TypeAlias = Literal["user", "assistant"]

Tier: TypeAlias = Literal["fast", "hq"]
"""Tier of a reply: as it was spoken, or as it was rendered afterwards."""

UtteranceState: TypeAlias = Literal["recording", "stored", "recovered", "empty"]
"""recording: still coming in; stored: audio complete; recovered: recovered from a dead process;
empty: there is no audio (typed, or nothing arrived, or its voice was deleted)."""


Text: TypeAlias = Annotated[str, AfterValidator(to_well_formed)]
"""Text of an engine or a client, made well-formed for the database and files."""


class UtteranceRecord(BaseModel):
    """One utterance of either side; saved beside its spool in case the database is unavailable.

    Attributes:
        owner: Id of the person who owns the session.
        is_turn: False for sound that is not a turn: a cough, a backchannel.
        transcript: Transcript of the user's speech, or the whole reply as written; None while unknown.
        heard_ms: Milliseconds of a reply that were played.
        heard_text: The text within that, if the reply was interrupted.
        speed: Speed of a reply; 1.0 is the voice's own pace.
        clauses: Clauses in which a reply was synthesized.
        wants_hq: The reply is to get an HQ rendering.
        timings: Timings of its turn, in milliseconds from the last voiced frame.
        failures: Stages of its turn that failed.
        inserted: The row was inserted. If it does not exist then, it was deleted on purpose.
        ended: The utterance is complete.
    """

    model_config = ConfigDict(extra="ignore", validate_assignment=True)

    id: str = Field(default_factory=lambda: new_id("utt"))
    session: str
    owner: str = LOCAL
    turn: int
    speaker: Role
    started_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    is_turn: bool = True
    sample_rate: int | None = None
    transcript: Text | None = None
    language: Text | None = None
    heard_ms: float | None = None
    heard_text: Text | None = None
    interrupted: bool = False
    voice: Text = ""
    engine: Text = ""
    speed: float = 1.0
    clauses: list[Text] = Field(default_factory=list)
    wants_hq: bool = False
    state: UtteranceState = "recording"
    timings: dict[str, Any] | None = None
    failures: list[dict[str, Text]] = Field(default_factory=list)
    inserted: bool = False
    ended: bool = False

    def columns(self) -> dict[str, object]:
        """Return the columns of the row that may still change."""
        return {
            "turn": self.turn,
            "is_turn": self.is_turn,
            "sample_rate": self.sample_rate,
            "language": self.language,
            "heard_ms": self.heard_ms,
            "heard_text": self.heard_text,
            "interrupted": self.interrupted,
            "voice": self.voice,
            "engine": self.engine,
        }
