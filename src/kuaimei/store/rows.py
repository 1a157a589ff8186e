"""What the store answers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from kuaimei.errors import NotFound
from kuaimei.store.disk_space import Level
from kuaimei.store.utterance_record import LOCAL, Role, Tier, UtteranceState

__all__ = [
    "Audio",
    "Boundary",
    "Health",
    "Rendering",
    "SessionRow",
    "Statistics",
    "Summary",
    "TurnRow",
    "UtteranceRow",
]


RenderingState: TypeAlias = Literal["queued", "rendering", "ready", "failed", "cancelled"]

Outcome: TypeAlias = Literal["scored", "unscored"]


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One conversation.

    Attributes:
        started_at: UTC.
        client: What the client said about itself.
        turns: Number of its latest turn.
        utterances: Of both sides.
        speech_s: Seconds of audio kept, both sides.
        title: What it was named, or else the first thing the user said; empty if nothing was understood.
        owner: Id of the person whose it is.
    """

    id: str
    started_at: datetime
    client: dict[str, Any]
    turns: int = 0
    utterances: int = 0
    speech_s: float = 0.0
    title: str = ""
    owner: str = LOCAL


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where in a rendering one clause of the fast tier is.

    Attributes:
        index: Of the clause, as `kuaimei.dialogue.events.ClauseReady` counts them.
    """

    index: int
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Rendering:
    """A reply rendered a second time, beautifully, or on its way there.

    Attributes:
        engine: Name and version of what rendered it; empty: nothing is there yet.
        bytes: Of the file, as ``duration_ms``, ``sample_rate`` and ``sha256``; None: there is none.
        clauses: In their order, without gaps.
        error: Why it failed, also while it is going to be tried again.
    """

    state: RenderingState
    voice: str
    engine: str
    duration_ms: float | None
    sample_rate: int | None
    bytes: int | None
    sha256: str | None
    clauses: tuple[Boundary, ...]
    error: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """How an utterance sounded, in short.

    Attributes:
        reason: Why it has no scores.
        confidence: 0 to 1, as the other two; None: no scores.
    """

    state: Outcome
    reason: str | None
    confidence: float | None
    stability: float | None
    affability: float | None


@dataclass(frozen=True, slots=True)
class UtteranceRow:
    """One utterance of either side; see `kuaimei.store.tables` for what is null when.

    Attributes:
        started_at: UTC.
        duration_ms: Of the recording; None while it is coming in and where there is none.
        transcript: None while unknown.
        heard_ms: How much of a reply was played.
        heard_text: The words within that, if it was interrupted.
        hq: Its second rendering; None: it gets none.
        analysis: How it sounded; None: not analysed (yet).
    """

    id: str
    session_id: str
    turn: int
    speaker: Role
    is_turn: bool
    started_at: datetime
    duration_ms: float | None
    sample_rate: int | None
    state: UtteranceState
    sha256: str | None
    bytes: int | None
    transcript: str | None
    language: str | None
    heard_ms: float | None
    heard_text: str | None
    interrupted: bool
    voice: str
    engine: str
    hq: Rendering | None = None
    analysis: Summary | None = None

    @property
    def words(self) -> str:
        """What of it belongs to the conversation: what was said, or of a reply what was heard of it."""
        cut = self.interrupted and self.heard_text is not None
        words = (self.heard_text if cut else self.transcript) or ""
        return words.strip() if self.is_turn else ""

    def file(self, tier: Tier = "fast") -> tuple[int, str]:
        """Size in bytes and SHA-256 of its recording, or of its second rendering.

        Raises:
            NotFound: If there is none (yet).
        """
        file = self if tier == "fast" else self.hq
        if file is None:
            raise NotFound(f"utterance {self.id} was not rendered a second time")
        if file.bytes is None or file.sha256 is None:
            raise NotFound(f"utterance {self.id} has no recording (it is {file.state})")
        return file.bytes, file.sha256


@dataclass(frozen=True, slots=True)
class TurnRow:
    """What a turn took, and what failed in it."""

    turn: int
    timings: dict[str, Any]
    failures: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Audio:
    """A recording, or the part of it that was asked for.

    Attributes:
        size: Bytes of the whole recording.
        start: First byte of this part.
        end: One past its last byte.
        chunks: The bytes, as they are read; to be iterated once.
    """

    media_type: str
    size: int
    start: int
    end: int
    sha256: str
    chunks: AsyncIterator[bytes] = field(repr=False)

    @property
    def content_length(self) -> int:
        """Bytes of this part."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Statistics:
    """How much is kept, and how the keeping goes.

    Attributes:
        unsaved: Utterances not yet wholly in the database.
        lost_bytes: Audio that could not even be spooled, since the process began.
        failures: Attempts to keep something that failed, since the process began.
        jobs: By status.
        broken: Utterances that can never be kept, put aside with their sound.
        deleting: Deletions that go on.
        disk_free_bytes: Room on the fullest of the disks that matter; None: not known yet.
    """

    sessions: int
    utterances: int
    speech_s: float
    bytes: int
    unsaved: int
    lost_bytes: int
    failures: int
    jobs: dict[str, int]
    broken: int = 0
    deleting: int = 0
    disk_free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """May this store be relied on now? ``detail`` says what is wrong, ``disk`` how much room there is."""

    database: bool
    blobs: bool
    detail: str = ""
    disk: Level = "ok"

    @property
    def ok(self) -> bool:
        """All of it works."""
        return self.database and self.blobs
