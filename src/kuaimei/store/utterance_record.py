"""What is known of one utterance while it is on its way into the database."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from kuaimei.store.ids import new_id
from kuaimei.text.wellformed import to_well_formed

__all__ = ["LOCAL", "Role", "Text", "Tier", "UtteranceRecord", "UtteranceState"]

LOCAL: Final = "local"
"""Id of the person that the machine's own key is, to whom everything belongs that names nobody else."""

Role: TypeAlias = Literal["user", "assistant"]

Tier: TypeAlias = Literal["fast", "hq"]
"""Of a reply: as it was spoken, or as it was rendered afterwards."""

UtteranceState: TypeAlias = Literal["recording", "stored", "recovered", "empty"]
"""recording: still coming in; stored: audio complete; recovered: saved from a process that died;
empty: there is no audio (typed, or nothing arrived, or its voice was deleted)."""


Text: TypeAlias = Annotated[str, AfterValidator(to_well_formed)]
"""Whatever an engine or a client said, as the database and a file can hold it."""


class UtteranceRecord(BaseModel):
    """One utterance, of either side; written beside its spool so that the database may be away.

    Attributes:
        owner: Id of the person whose session it is.
        is_turn: False for what was heard but is no turn: a cough, a backchannel.
        transcript: Of a user's speech, or the whole reply as written; None while unknown.
        heard_ms: How much of a reply was played.
        heard_text: The words within that, if the reply was interrupted.
        speed: Of a reply; 1.0 is the voice's own pace.
        clauses: Of a reply, in which it was synthesised.
        wants_hq: A reply that is to be rendered a second time, beautifully.
        timings: Of its turn, in milliseconds from the last voiced frame.
        failures: Stages of its turn that failed.
        inserted: The row exists. A record that says so but has none was deleted on purpose.
        ended: Nothing more of it will come.
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
        """What may still change, as columns of the row."""
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
