"""Rows of a pending utterance: inserted when it begins, updated as more of it is known."""

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import case, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from kuaimei.store import flac, tables
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.utterance_record import Tier, UtteranceRecord

__all__ = ["SESSION_LOCK", "blob_key", "empty_row", "insert_rows", "update_row"]

SESSION_LOCK = 0x6B75_6169
"""First key of the advisory locks that serialize writes to a session and its deletion."""


def blob_key(session: str, utterance: str, tier: Tier = "fast") -> str:
    """Return the blob key of an utterance's recording, or of its HQ rendering."""
    return f"{session}/{utterance}{'.hq' if tier == 'hq' else ''}.flac"


@again_after_deadlock
async def insert_rows(database: Database, record: UtteranceRecord, run: str, client: dict[str, Any]) -> bool:
    """Insert the row of an utterance, and of its session if needed; return False if it is being deleted.

    Args:
        database: The database.
        record: The record.
        run: Id of the run in which it is spooled.
        client: For the row of its session.

    Raises:
        StoreError: If the database is unavailable.
        Unstorable: If the database can never store it.
    """
    marked = tables.deletions.c
    deleted = exists().where(
        or_(
            (marked.kind == "session") & (marked.subject == record.session),
            (marked.kind == "utterance") & (marked.subject == record.id),
        )
    )
    async with database.begin() as connection:
        await connection.execute(select(_shared_lock(record.session)))
        if await connection.scalar(select(deleted)):
            return False
        session = insert(tables.sessions).values(
            id=record.session, started_at=record.started_at, owner=record.owner, client=client
        )
        await connection.execute(session.on_conflict_do_nothing())
        await connection.execute(
            insert(tables.utterances)
            .values(
                id=record.id,
                session_id=record.session,
                speaker=record.speaker,
                started_at=record.started_at,
                transcript=record.transcript,
                state="recording",
                run=run,
                **record.columns(),
            )
            .on_conflict_do_nothing()
        )
    return True


@again_after_deadlock
async def update_row(
    database: Database, record: UtteranceRecord, audio: flac.Flac | None, *, put_away: bool
) -> bool:
    """Update the row of an utterance; return False if it was deleted.

    Args:
        database: The database.
        record: The record.
        audio: Its recording; None: there is none, or an earlier process stored it.
        put_away: None of its audio is left to be stored.

    Raises:
        StoreError: If the database is unavailable.
        Unstorable: If the database can never store it.
        IntegrityError: If the session was deleted.
    """
    table = tables.utterances
    values: dict[str, Any] = record.columns()
    if record.transcript is not None:
        values["transcript"] = record.transcript
    if put_away:
        # A row that an earlier process has finished keeps its state.
        known = case((table.c.state == "recording", record.state), else_=table.c.state)
        if audio is None:
            values["state"] = case((table.c.state == "recording", "empty"), else_=table.c.state)
        else:
            values |= {
                "state": known,
                "duration_ms": audio.duration_ms,
                "blob_key": blob_key(record.session, record.id),
                "sha256": audio.sha256,
                "bytes": audio.size,
            }
    async with database.begin() as connection:
        # The turn refers to the session: without the lock, this could deadlock with a deletion that has
        # locked the session and waits for this utterance.
        await connection.execute(select(_shared_lock(record.session)))
        result = await connection.execute(
            update(table).where(table.c.id == record.id).values(values).returning(table.c.id)
        )
        found = result.first() is not None
        if found and (record.timings or record.failures):
            turn = {"timings": _finite(record.timings or {}), "failures": record.failures}
            await connection.execute(
                insert(tables.turns)
                .values(session_id=record.session, turn=record.turn, **turn)
                .on_conflict_do_update(index_elements=["session_id", "turn"], set_=turn)
            )
        return found


def _shared_lock(session: str) -> Any:
    """Return the shared lock of a session; its deletion takes it exclusively, which serializes both."""
    return func.pg_advisory_xact_lock_shared(SESSION_LOCK, func.hashtext(session))


def _finite(timings: Mapping[str, Any]) -> dict[str, Any]:
    """Replace values that JSON cannot represent by None, so that they do not lose the utterance."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in timings.items()
    }


@again_after_deadlock
async def empty_row(database: Database, utterance: str) -> None:
    """Mark an utterance in the state ``recording`` as empty: nothing more of it will arrive.

    Raises:
        StoreError: If the database is unavailable.
    """
    table = tables.utterances
    async with database.begin() as connection:
        await connection.execute(
            update(table)
            .where((table.c.id == utterance) & (table.c.state == "recording"))
            .values(state="empty")
        )
