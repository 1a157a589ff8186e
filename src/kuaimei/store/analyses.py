"""Storage of speech analyses: features and scores of each utterance.

One row for each utterance, made by the durable job (`kuaimei.analysis.job`). It names what it was made with:
the versions of extractor and head, and a digest of the transcript. If any of these differs now, the analysis
is due again; so an analysis that was queued and lost, such as by a killed process, is found by
`AnalysisRepository.due`.
"""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Float, Text, func, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from kuaimei.errors import NotFound
from kuaimei.store import due_analyses
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.due_analyses import AnalysisVersion
from kuaimei.store.jobs import JobQueue, newest_first_priority
from kuaimei.store.renderings import digest_of
from kuaimei.store.rows import Outcome, Summary
from kuaimei.store.tables import analyses, sessions, utterances
from kuaimei.store.utterance_record import Role

__all__ = [
    "ANALYSE_JOB",
    "Analysis",
    "AnalysisProgress",
    "AnalysisRepository",
    "AnalysisResult",
    "AnalysisTask",
    "summary_columns",
    "summary_of",
]

ANALYSE_JOB: Final = "analyse"
"""Name of the durable job; its subject is the utterance."""
_SCORES: Final = ("confidence", "stability", "affability")
_PREFIX: Final = "analysis_"


@dataclass(frozen=True, slots=True)
class AnalysisTask:
    """An utterance that is to be analysed.

    Attributes:
        duration_ms: Length of its recording; None: it has none.
        transcript: None: unknown.
        interrupted: Recording and transcript do not cover the same words.
        attempts: Number of attempts, including this one.
        features: Features measured before with the same extractor and transcript; only scores are missing.
        basis: Versions of extractor and head to be used.
    """

    utterance: str
    session: str
    turn: int
    speaker: Role
    is_turn: bool
    duration_ms: float | None
    transcript: str | None
    language: str | None
    interrupted: bool
    attempts: int
    features: dict[str, float] | None
    basis: AnalysisVersion


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """Result of an analysis.

    Attributes:
        reason: Why there are no scores; None: there are.
        features: Measured features by name.
        scores: ``value``, ``bias`` and ``contributions`` of each score, by name.
        contours: ``frame_ms``, ``f0_hz`` and ``pauses``; None: stored ones stay if features were reused.
        took_ms: Milliseconds of computation.
    """

    reason: str | None
    features: Mapping[str, float]
    scores: Mapping[str, Any] | None
    contours: Mapping[str, Any] | None
    took_ms: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """Stored analysis of one utterance; see `AnalysisResult`.

    Attributes:
        analysed_at: UTC.
    """

    utterance: str
    state: Outcome
    reason: str | None
    extractor: str
    head: str
    features: dict[str, float]
    scores: dict[str, Any] | None
    contours: dict[str, Any] | None
    took_ms: float
    analysed_at: datetime


@dataclass(frozen=True, slots=True)
class AnalysisProgress:
    """Progress of the analysis of all stored utterances.

    Attributes:
        waiting: Utterances not analysed with the current versions.
    """

    utterances: int
    waiting: int


class AnalysisRepository:
    """Queue and storage of analyses.

    Args:
        database: The database.
        jobs: Durable jobs.
        enabled: False: no analysis is queued.
    """

    def __init__(self, database: Database, jobs: JobQueue, *, enabled: bool = True) -> None:
        self._database = database
        self._jobs = jobs
        self._enabled = enabled

    async def ask(self, utterance: str, at: datetime) -> None:
        """Queue the analysis of an utterance; the latest is analysed first.

        Args:
            utterance: Id of the utterance.
            at: Time at which it was spoken.

        Raises:
            StoreError: If the database is unavailable.
        """
        if self._enabled:
            await self._jobs.defer(ANALYSE_JOB, utterance, priority=newest_first_priority(at.timestamp()))

    async def due(
        self, basis: AnalysisVersion, limit: int, *, unasked: bool = True
    ) -> Sequence[tuple[str, datetime]]:
        """Return ids and times of the utterances to be analysed, newest first.

        Args:
            basis: Current versions of extractor and head.
            limit: Maximum number of utterances.
            unasked: Only utterances without a queued analysis or a pending transcription.

        Raises:
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            found = await connection.execute(due_analyses.newest(basis, limit, unasked=unasked))
            return [(row.id, row.started_at) for row in found]

    async def progress(self, basis: AnalysisVersion, owner: str | None = None) -> AnalysisProgress:
        """Count all utterances and those still to be analysed.

        Args:
            basis: Current versions of extractor and head.
            owner: Limits it to the utterances of this owner.

        Raises:
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            row = (await connection.execute(due_analyses.progress(basis, owner))).one()
        return AnalysisProgress(row.utterances, row.waiting)

    @again_after_deadlock
    async def invalidate_all(self, owner: str | None = None) -> int:
        """Mark all analyses as outdated; they remain readable until they are replaced.

        Args:
            owner: Limits it to the utterances of this owner.

        Returns:
            Number of utterances.

        Raises:
            StoreError: If the database is unavailable.
        """
        table = analyses
        async with self._database.begin() as connection:
            mine = select(utterances.c.id).join(sessions, sessions.c.id == utterances.c.session_id)
            mine = mine.where(utterances.c.state != "recording")
            if owner is not None:
                mine = mine.where(sessions.c.owner == owner)
            await connection.execute(
                update(table).where(table.c.utterance_id.in_(mine)).values(outdated=True, attempts=0)
            )
            return await connection.scalar(select(func.count()).select_from(mine.subquery())) or 0

    @again_after_deadlock
    async def claim(self, utterance: str, basis: AnalysisVersion) -> AnalysisTask | None:
        """Claim the analysis of an utterance; None if it is up to date, or the utterance was deleted.

        Raises:
            StoreError: If the database is unavailable.
        """
        table = analyses
        query = (
            select(*_SAID, *_MADE).select_from(due_analyses.WITH_ANALYSIS).where(utterances.c.id == utterance)
        )
        count = insert(table).values(utterance_id=utterance, state="waiting", attempts=1)
        count_on = count.on_conflict_do_update(
            index_elements=["utterance_id"], set_={"attempts": table.c.attempts + 1}
        )
        try:
            async with self._database.begin() as connection:
                row = (await connection.execute(query.where(utterances.c.state != "recording"))).first()
                if row is None:
                    return None
                digest = None if row.transcript is None else digest_of(row.transcript)
                same = row.state not in (None, "waiting") and not row.outdated
                measured = same and (row.extractor, row.text_sha256) == (basis.extractor, digest)
                if measured and row.head == basis.head:
                    return None
                attempts = await connection.scalar(count_on.returning(table.c.attempts))
        except IntegrityError:
            return None
        return AnalysisTask(
            utterance=utterance,
            session=row.session_id,
            turn=row.turn,
            speaker=row.speaker,
            is_turn=row.is_turn,
            duration_ms=row.duration_ms if row.bytes is not None else None,
            transcript=row.transcript,
            language=row.language,
            interrupted=row.interrupted,
            attempts=attempts or 1,
            features=row.features if measured and row.features else None,
            basis=basis,
        )

    @again_after_deadlock
    async def save(self, assignment: AnalysisTask, findings: AnalysisResult) -> bool:
        """Save the result in place of the old one; False if the utterance was deleted.

        Raises:
            StoreError: If the database is unavailable.
        """
        table, said = analyses, assignment.transcript
        values = {
            "extractor": assignment.basis.extractor,
            "head": assignment.basis.head,
            "text_sha256": None if said is None else digest_of(said),
            "state": "scored" if findings.reason is None else "unscored",
            "reason": findings.reason,
            "features": dict(findings.features),
            "scores": findings.scores,
            "took_ms": findings.took_ms,
            "analysed_at": func.now(),
            "attempts": 0,
            "outdated": False,
        }
        if findings.contours is not None or assignment.features is None:
            values["contours"] = findings.contours
        made = insert(table).values(utterance_id=assignment.utterance, **values)
        try:
            async with self._database.begin() as connection:
                await connection.execute(
                    made.on_conflict_do_update(index_elements=["utterance_id"], set_=values)
                )
        except IntegrityError:
            return False
        return True

    @again_after_deadlock
    async def release(self, assignment: AnalysisTask) -> None:
        """Do not count the attempt, which failed for a reason unrelated to the utterance.

        Raises:
            StoreError: If the database is unavailable.
        """
        table = analyses
        async with self._database.begin() as connection:
            await connection.execute(
                update(table)
                .where((table.c.utterance_id == assignment.utterance) & (table.c.attempts > 0))
                .values(attempts=table.c.attempts - 1)
            )

    async def has_pending_transcription(self) -> bool:
        """Return True if an utterance waits for transcription, which takes precedence.

        Raises:
            StoreError: If the database is unavailable.
        """
        return await self._jobs.has_ready_job("transcribe")

    async def get(self, utterance: str) -> Analysis:
        """Return the analysis of one utterance.

        Raises:
            NotFound: If it is not analysed (yet).
            StoreError: If the database is unavailable.
        """
        found = await self._select(analyses.c.utterance_id == utterance)
        if not found:
            raise NotFound(f"utterance {utterance} has not been analysed yet")
        return found[0]

    async def of(self, ids: Collection[str], *, contours: bool = False) -> Sequence[Analysis]:
        """Return the analyses of those utterances that are analysed, in no order.

        Args:
            ids: Ids of the utterances; as many as may be held in memory.
            contours: Include the contours; else they are None.

        Raises:
            StoreError: If the database is unavailable.
        """
        return await self._select(analyses.c.utterance_id.in_(ids), contours=contours)

    async def features(self, ids: Collection[str]) -> dict[str, dict[str, float]]:
        """Return the features of those utterances that are analysed, by utterance.

        Raises:
            StoreError: If the database is unavailable.
        """
        table = analyses
        async with self._database.begin() as connection:
            found = await connection.execute(
                select(table.c.utterance_id, table.c.features).where(table.c.utterance_id.in_(ids))
            )
            return {row.utterance_id: row.features for row in found if row.features}

    async def _select(self, which: ColumnElement[bool], *, contours: bool = True) -> list[Analysis]:
        table = analyses
        # As text: parsing the contours of ten minutes of speech takes long and is done in a thread.
        drawn = (table.c.contours.cast(Text) if contours else null()).label("contours")
        query = select(table.c.utterance_id.label("utterance"), *_WHOLE, drawn).where(
            which & (table.c.state != "waiting")
        )
        async with self._database.browse() as connection:
            rows = (await connection.execute(query)).all()
        return await asyncio.to_thread(_made_of, rows) if contours else _made_of(rows)


def _made_of(rows: Sequence[Any]) -> list[Analysis]:
    return [
        Analysis(**{**row._mapping, "contours": None if row.contours is None else json.loads(row.contours)})
        for row in rows
    ]


_WHOLE = [
    analyses.c[name]
    for name in (
        *("state", "reason", "extractor", "head", "features", "scores"),
        *("took_ms", "analysed_at"),
    )
]
_MADE = [analyses.c[name] for name in ("state", "extractor", "head", "text_sha256", "features", "outdated")]
_SAID = [
    utterances.c[name]
    for name in (
        *("session_id", "turn", "speaker", "is_turn", "duration_ms", "bytes"),
        *("transcript", "language", "interrupted"),
    )
]


def summary_columns() -> list[Any]:
    """Return the columns of an analysis summary, to be selected with those of an utterance."""
    scores = (analyses.c.scores[name]["value"].astext.cast(Float).label(_PREFIX + name) for name in _SCORES)
    return [*(analyses.c[name].label(_PREFIX + name) for name in ("state", "reason")), *scores]


def summary_of(row: Mapping[Any, Any]) -> Summary | None:
    """Return the summary in a row with `summary_columns`; None if the utterance is not analysed.

    Args:
        row: Mapping of the row.
    """
    state = row[f"{_PREFIX}state"]
    if state is None or state == "waiting":
        return None
    values = {name: row[_PREFIX + name] for name in _SCORES}
    return Summary(state=state, reason=row[f"{_PREFIX}reason"], **values)
