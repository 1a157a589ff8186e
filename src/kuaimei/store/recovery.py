"""Recovery of utterances from the spools of dead processes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy import select, update

from kuaimei.store import tables
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.quarantine import NAMELESS_DAYS, Broken
from kuaimei.store.spool import SpoolRun
from kuaimei.store.utterance_ingest import PendingUtterance, UtteranceIngest
from kuaimei.store.utterance_record import UtteranceRecord

__all__ = ["recover_spools"]

_log = logging.getLogger(__name__)


async def recover_spools(
    run: SpoolRun,
    database: Database,
    ingest: UtteranceIngest,
    ask_transcript: Callable[[str], Awaitable[None]],
    broken: Broken,
) -> set[PendingUtterance]:
    """Recover everything in the dead ``run``: spools, rows without a spool, speech without a transcript.

    Args:
        run: The abandoned spool run, held by this process.
        database: The database.
        ingest: Stores the utterances.
        ask_transcript: Queues the transcription of an utterance.
        broken: Quarantine for audio of an unknown owner.

    Returns:
        The utterances being stored by ``ingest``; the run may be closed when they are.

    Raises:
        StoreError: If the database is unavailable.
    """
    records = [*run.records()]
    known = {record.id for record in records}
    table = tables.utterances
    async with database.begin() as connection:
        rows = {row.id: row for row in await connection.execute(select(table).where(table.c.run == run.id))}
    for name in run.orphans():
        if (row := rows.get(name)) is None:
            # Its owner is unknown: it is not listed anywhere, so it must not be kept for ever either.
            if await asyncio.to_thread(broken.take, run.folder, name):
                _log.warning(
                    "the audio %s belongs to no known utterance; it was moved to %s "
                    "and will be deleted after %d days",
                    *(name, broken.folder, NAMELESS_DAYS),
                )
            continue
        if row.blob_key is not None:
            run.spool(name).remove()  # its process died before removing it
            continue
        records.append(
            UtteranceRecord(
                id=row.id,
                session=row.session_id,
                turn=row.turn,
                speaker=row.speaker,
                started_at=row.started_at,
                sample_rate=row.sample_rate,
                inserted=True,
            )
        )
        known.add(name)
    items: set[PendingUtterance] = set()
    for record in records:
        item = PendingUtterance(record, run.spool(record.id), run.id)
        row = rows.get(record.id)
        item.safe = item.put_away = row is not None and row.blob_key is not None
        if record.state == "recording":
            record.state = "recovered"
            if record.speaker == "assistant" and not record.ended:
                record.interrupted = record.wants_hq = True
        record.ended = True
        transcript = record.transcript if row is None or row.transcript is None else row.transcript
        item.wants_transcript = record.speaker == "user" and transcript is None
        items.add(item)
        ingest.enqueue(item)
    await _finish_rows(run, database, known, ask_transcript)
    if items:
        _log.info("recovering %d utterances of a process that ended unexpectedly", len(items))
    return items


@again_after_deadlock
async def _finish_rows(
    run: SpoolRun, database: Database, spooled: set[str], ask_transcript: Callable[[str], Awaitable[None]]
) -> None:
    """Finish the run's rows without a spool: no audio had arrived, or only the transcript is missing."""
    table = tables.utterances
    others = (table.c.run == run.id) & table.c.id.not_in(spooled)
    async with database.begin() as connection:
        await connection.execute(
            update(table).where(others & (table.c.state == "recording")).values(state="empty")
        )
        unknown = await connection.scalars(
            select(table.c.id).where(
                others
                & (table.c.speaker == "user")
                & table.c.is_turn
                & table.c.transcript.is_(None)
                & table.c.blob_key.is_not(None)
            )
        )
        wanting = list(unknown)
    for utterance in wanting:
        await ask_transcript(utterance)
