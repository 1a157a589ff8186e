"""Result types of the store."""

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
        turns: Number of the latest turn.
        utterances: Number of utterances of both sides.
        speech_s: Seconds of stored audio of both sides.
        title: Its title, or else the first transcript of the user; empty if there is none.
        owner: Id of the person who owns it.
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
    """Position of a clause of the fast tier in an HQ rendering.

    Attributes:
        index: Index of the clause, as in `kuaimei.dialogue.events.ClauseReady`.
    """

    index: int
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Rendering:
    """HQ rendering of a reply, finished or in progress.

    Attributes:
        engine: Name and version of the engine; empty: there is no rendering yet.
        bytes: Size of the file; None, as ``duration_ms``, ``sample_rate`` and ``sha256``: there is none.
        clauses: Boundaries in order, without gaps.
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
    """Summary of an analysis.

    Attributes:
        reason: Why there are no scores; None: there are.
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
        duration_ms: Length of the recording; None while it is coming in and if there is none.
        transcript: None while unknown.
        heard_ms: Milliseconds of a reply that were played.
        heard_text: The text within that, if it was interrupted.
        hq: HQ rendering; None: it gets none.
        analysis: Summary of the analysis; None: not analysed (yet).
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
        """Text that belongs to the conversation: the transcript, or what was heard of a reply."""
        cut = self.interrupted and self.heard_text is not None
        words = (self.heard_text if cut else self.transcript) or ""
        return words.strip() if self.is_turn else ""

    def file(self, tier: Tier = "fast") -> tuple[int, str]:
        """Return size in bytes and SHA-256 of its recording, or of its HQ rendering.

        Raises:
            NotFound: If there is none (yet).
        """
        file = self if tier == "fast" else self.hq
        if file is None:
            raise NotFound(f"utterance {self.id} has no HQ rendering")
        if file.bytes is None or file.sha256 is None:
            raise NotFound(f"utterance {self.id} has no recording (it is {file.state})")
        return file.bytes, file.sha256


@dataclass(frozen=True, slots=True)
class TurnRow:
    """Timings and failures of a turn."""

    turn: int
    timings: dict[str, Any]
    failures: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Audio:
    """A recording, or the requested part of it.

    Attributes:
        size: Bytes of the whole recording.
        start: First byte of this part.
        end: One past its last byte.
        chunks: The bytes, as they are read; can be iterated once.
    """

    media_type: str
    size: int
    start: int
    end: int
    sha256: str
    chunks: AsyncIterator[bytes] = field(repr=False)

    @property
    def content_length(self) -> int:
        """Number of bytes in this part."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Statistics:
    """Totals and health counters of the store.

    Attributes:
        unsaved: Utterances that are not yet fully stored.
        lost_bytes: Bytes of audio that could not be spooled, since the start of the process.
        failures: Failed attempts to store something, since the start of the process.
        jobs: Number of jobs by status.
        broken: Utterances in quarantine.
        deleting: Deletions in progress.
        disk_free_bytes: Free space on the fullest of the disks used; None: not known yet.
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
    """Health of the store: ``detail`` says what is wrong, ``disk`` is the level of free disk space."""

    database: bool
    blobs: bool
    detail: str = ""
    disk: Level = "ok"

    @property
    def ok(self) -> bool:
        """True if database and blob store work."""
        return self.database and self.blobs
