"""Queries for analyses that are due."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, cast, exists, func, not_, or_, select, true
from sqlalchemy import column as named
from sqlalchemy import table as called

from kuaimei.store.tables import analyses, sessions, utterances

__all__ = ["WITH_ANALYSIS", "AnalysisVersion", "newest", "progress"]

WITH_ANALYSIS = utterances.outerjoin(analyses, analyses.c.utterance_id == utterances.c.id)
"""All utterances, joined with their analysis if there is one."""
_JOBS = called(
    "procrastinate_jobs", named("queueing_lock"), named("task_name"), named("status"), named("args")
)


@dataclass(frozen=True, slots=True)
class AnalysisVersion:
    """Versions with which an analysis is made.

    Attributes:
        extractor: Version of the feature extraction.
        head: Version of the scoring.
    """

    extractor: str
    head: str


def newest(basis: AnalysisVersion, limit: int, *, unasked: bool) -> Select[Any]:
    """Select ids and times of the utterances to be analysed, newest first.

    Args:
        basis: Current versions of extractor and head.
        limit: Maximum number of utterances.
        unasked: Only utterances without a queued analysis or a pending transcription.
    """
    table = utterances
    query = select(table.c.id, table.c.started_at).select_from(WITH_ANALYSIS).where(_due(basis))
    if unasked:
        # A queued job will do it; a pending transcription queues the analysis when it is done.
        words = table.c.transcript.is_(None) & _queued("transcribe")
        query = query.where(not_(_queued("analyse")), not_(words))
    return query.order_by(table.c.started_at.desc(), table.c.id.desc()).limit(limit)


def progress(basis: AnalysisVersion, owner: str | None) -> Select[Any]:
    """Count all utterances and those to be analysed."""
    finished = utterances.c.state != "recording"
    counts: list[Any] = [
        func.count().filter(finished).label("utterances"),
        func.count().filter(_due(basis)).label("waiting"),
    ]
    query = select(*counts).select_from(
        WITH_ANALYSIS.join(sessions, sessions.c.id == utterances.c.session_id)
    )
    return query.where(true() if owner is None else sessions.c.owner == owner)


def _due(basis: AnalysisVersion) -> ColumnElement[bool]:
    """Return the condition for a finished utterance without an up-to-date analysis."""
    table = analyses
    digest = func.encode(func.sha256(func.convert_to(utterances.c.transcript, "UTF8")), "hex")
    stale = or_(
        table.c.utterance_id.is_(None),
        table.c.state == "waiting",
        table.c.outdated,
        table.c.extractor != basis.extractor,
        table.c.head != basis.head,
        table.c.text_sha256.is_distinct_from(digest),
    )
    return and_(utterances.c.state != "recording", stale)


def _queued(name: str) -> ColumnElement[bool]:
    """Return the condition for an utterance with a queued or running job of that name."""
    jobs = _JOBS.c
    return exists().where(
        jobs.task_name == name,
        cast(jobs.status, Text).in_(("todo", "doing")),
        jobs.queueing_lock == func.concat(f"{name}:", utterances.c.id),
    )
