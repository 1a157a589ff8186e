"""Queries for sessions, turns and utterances."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import (
    DateTime,
    Select,
    TextClause,
    and_,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)

from kuaimei.store.analyses import summary_columns
from kuaimei.store.ids import made_at
from kuaimei.store.renderings import UNDER_WAY, rendering_columns
from kuaimei.store.rows import UtteranceRow
from kuaimei.store.tables import analyses as analyses_table
from kuaimei.store.tables import renderings as renderings_table
from kuaimei.store.tables import sessions as sessions_table
from kuaimei.store.tables import turns as turns_table
from kuaimei.store.tables import utterances as utterances_table
from kuaimei.store.utterance_record import UtteranceRecord

__all__ = [
    "Matches",
    "being_rendered",
    "jobs_of_session",
    "jobs_of_utterance",
    "last_turn",
    "latest",
    "session",
    "sessions",
    "silent_since",
    "totals",
    "turns",
    "utterance",
    "utterances",
]

Matches: TypeAlias = Callable[[UtteranceRecord], bool]

_UTTERANCE = [
    *(column for column in utterances_table.c if column.name not in {"blob_key", "run"}),
    *rendering_columns(),
    *summary_columns(),
]
_WITH_ALL = utterances_table.outerjoin(
    renderings_table, renderings_table.c.utterance_id == utterances_table.c.id
).outerjoin(analyses_table, analyses_table.c.utterance_id == utterances_table.c.id)


def utterances(session: str, limit: int, after: UtteranceRow | None = None) -> Select[Any]:
    """Select a page of a session's utterances, in conversation order.

    Args:
        session: Id of the session.
        limit: Maximum number of utterances.
        after: Only utterances after this one, which may have been deleted.
    """
    said = utterances_table.c
    query = (
        select(*_UTTERANCE)
        .select_from(_WITH_ALL)
        .where(said.session_id == session)
        # Within a turn the user comes first.
        .order_by(said.turn, said.speaker.desc(), said.started_at, said.id)
        .limit(limit)
    )
    if after is not None:
        later = tuple_(said.started_at, said.id) > (after.started_at, after.id)
        same_turn = or_(said.speaker < after.speaker, and_(said.speaker == after.speaker, later))
        query = query.where(or_(said.turn > after.turn, and_(said.turn == after.turn, same_turn)))
    return query


def latest(session: str, limit: int, offset: int) -> Select[Any]:
    """Select the latest utterances of a session, newest first.

    Args:
        session: Id of the session.
        limit: Maximum number of utterances.
        offset: Number of the newest utterances to be skipped.
    """
    said = utterances_table.c
    return (
        select(*_UTTERANCE)
        .select_from(_WITH_ALL)
        .where(said.session_id == session)
        .order_by(said.turn.desc(), said.speaker, said.started_at.desc(), said.id.desc())
        .limit(limit)
        .offset(offset)
    )


def utterance(utterance: str) -> Select[Any]:
    """Select one utterance."""
    return select(*_UTTERANCE).select_from(_WITH_ALL).where(utterances_table.c.id == utterance)


def turns(session: str, limit: int, after: int) -> Select[Any]:
    """Select timings and failures of a session's turns, in order.

    Args:
        session: Id of the session.
        limit: Maximum number of turns.
        after: Only turns after this number.
    """
    table = turns_table
    return (
        select(table.c.turn, table.c.timings, table.c.failures)
        .where(table.c.session_id == session, table.c.turn > after)
        .order_by(table.c.turn)
        .limit(limit)
    )


def last_turn(session: str) -> Select[Any]:
    """Select the highest turn number of a session."""
    return select(func.max(utterances_table.c.turn)).where(utterances_table.c.session_id == session)


def totals() -> Select[Any]:
    """Select totals over all utterances."""
    table = utterances_table
    return select(
        func.count().label("utterances"),
        (func.coalesce(func.sum(table.c.duration_ms), 0.0) / 1000.0).label("speech_s"),
        func.coalesce(func.sum(table.c.bytes), 0).cast(table.c.bytes.type).label("bytes"),
    )


def session(session: str) -> Select[Any]:
    """Select one session with its totals."""
    return _summaries().where(sessions_table.c.id == session)


def silent_since(before: datetime) -> Select[Any]:
    """Select ids of sessions without speech since ``before``, oldest first."""
    table, said = sessions_table, utterances_table
    later: Select[Any] = select(literal_column("1")).where(
        (said.c.session_id == table.c.id) & (said.c.started_at >= before)
    )
    return (
        select(table.c.id)
        .where((table.c.started_at < before) & ~later.exists())
        .order_by(table.c.started_at, table.c.id)
    )


def sessions(limit: int, before: str | None, search: str, owner: str | None = None) -> Select[Any]:
    """Select a page of sessions, newest first; all, or those of one owner.

    Args:
        limit: Maximum number of sessions.
        before: Id of the last session of the page before, which may have been deleted.
        search: Only sessions with this text in the title or a transcript, ignoring case; empty: all.
        owner: Limits it to the sessions of this owner.
    """
    table = sessions_table
    query = _summaries().order_by(table.c.started_at.desc(), table.c.id.desc()).limit(limit)
    if owner is not None:
        query = query.where(table.c.owner == owner)
    if before is not None:
        mark = table.alias("mark")
        # If that session was deleted meanwhile, its id tells its time to the millisecond. Others may have
        # begun in the same one: better listed twice than never.
        made = None if (at := made_at(before)) is None else at + timedelta(milliseconds=1)
        began = func.coalesce(
            select(mark.c.started_at).where(mark.c.id == before).scalar_subquery(),
            literal(made, DateTime(timezone=True)),
        )
        query = query.where(
            or_(table.c.started_at < began, and_(table.c.started_at == began, table.c.id < before))
        )
    if words := search.strip():
        said = utterances_table
        spoken = (
            select(literal_column("1"))
            .where(and_(said.c.session_id == table.c.id, said.c.transcript.icontains(words, autoescape=True)))
            .exists()
        )
        query = query.where(or_(spoken, table.c.title.icontains(words, autoescape=True)))
    return query


def jobs_of_session(session: str) -> TextClause:
    """Return a statement that deletes the jobs of a session's utterances, except running ones."""
    return text(
        "delete from procrastinate_jobs where status <> 'doing' and args->>'subject' in "
        "(select id from utterances where session_id = :session)"
    ).bindparams(session=session)


def jobs_of_utterance(utterance: str) -> TextClause:
    """Return a statement that deletes the jobs of an utterance, except running ones."""
    return text(
        "delete from procrastinate_jobs where status <> 'doing' and args->>'subject' = :utterance"
    ).bindparams(utterance=utterance)


def being_rendered(session: str) -> Select[Any]:
    """Select ids of a session's replies whose HQ rendering is in progress."""
    table = renderings_table
    return (
        select(table.c.utterance_id)
        .join(utterances_table, utterances_table.c.id == table.c.utterance_id)
        .where((utterances_table.c.session_id == session) & table.c.state.in_(UNDER_WAY))
    )


def _summaries() -> Select[Any]:
    said = utterances_table
    sums = (
        select(
            func.coalesce(func.max(said.c.turn), 0).label("turns"),
            func.count().label("utterances"),
            (func.coalesce(func.sum(said.c.duration_ms), 0.0) / 1000.0).label("speech_s"),
        )
        .where(said.c.session_id == sessions_table.c.id)
        .lateral("sums")
    )
    first = (
        select(said.c.transcript)
        .where(
            and_(
                said.c.session_id == sessions_table.c.id,
                said.c.speaker == "user",
                said.c.is_turn,
                said.c.transcript != "",
            )
        )
        .order_by(said.c.turn, said.c.started_at)
        .limit(1)
        .scalar_subquery()
    )
    return select(
        sessions_table.c.id,
        sessions_table.c.started_at,
        sessions_table.c.client,
        sums.c.turns,
        sums.c.utterances,
        sums.c.speech_s,
        sessions_table.c.owner,
        func.coalesce(sessions_table.c.title, first, "").label("title"),
    ).select_from(sessions_table.join(sums, literal_column("true")))
