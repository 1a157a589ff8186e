"""Removes deleted rows from the files of the database.

PostgreSQL only marks a deleted row as dead. Its bytes stay in the table until the page is vacuumed, and parts
of them longer; and the write-ahead log holds every row as it was written, until its segment is deleted. So
after a deletion the tables are rewritten, and in the embedded server the log is switched to a new segment and
the old ones are deleted (`wal_recycle` is off there). The log of an external server is not under our control.
"""

import logging
from typing import Final

import psycopg
from psycopg import sql

from kuaimei.errors import StoreError
from kuaimei.store.database import Database

__all__ = ["TABLES", "vacuum"]

_log = logging.getLogger(__name__)

TABLES: Final = (
    "utterances",
    "sessions",
    "turns",
    "renderings",
    "analyses",
    "ratings",
    "voices",
    "preferences",
    "deletions",
    "people",
    "keys",
    "procrastinate_jobs",
    "procrastinate_events",
)
"""Tables that contain conversations, or ids of them."""
_REWRITTEN_BYTES: Final = 64 * 1024 * 1024
"""A table up to this size is rewritten, which blocks it for some tenths of a second. A larger one is only
vacuumed: some bytes of the last row of a page may stay until that page is written again."""
_LOCK_MS: Final = 2000
_STATEMENT_MS: Final = 120_000


async def vacuum(database: Database) -> bool:
    """Rewrite the tables and discard the embedded server's old log; False if a table was in use.

    Raises:
        StoreError: If the database is unavailable.
    """
    done = True
    try:
        async with await database.connect(_STATEMENT_MS / 1000.0 + 5.0) as connection:
            await connection.set_autocommit(True)
            await connection.execute(f"set lock_timeout = {_LOCK_MS}")
            await connection.execute(f"set statement_timeout = {_STATEMENT_MS}")
            for table in TABLES:
                done &= await _table(connection, table)
            if database.embedded:
                await connection.execute("select pg_switch_wal()")
                await connection.execute("checkpoint")
    except (psycopg.Error, OSError) as error:
        raise StoreError(f"deleted rows cannot be removed from the database files: {error}") from error
    return done


async def _table(connection: psycopg.AsyncConnection[tuple[object, ...]], table: str) -> bool:
    size = await connection.execute("select coalesce(pg_total_relation_size(to_regclass(%s)), -1)", (table,))
    row = await size.fetchone()
    found = int(str(row[0])) if row else -1
    if found < 0:
        return True
    full = sql.SQL("vacuum (full) {}" if found <= _REWRITTEN_BYTES else "vacuum {}")
    try:
        await connection.execute(full.format(sql.Identifier(table)))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        _log.info("the table %s is in use: deleted rows will be removed from its file later", table)
        return False
    return True
