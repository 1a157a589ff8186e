"""Takes what was deleted out of the files of the database as well.

PostgreSQL only marks a deleted row as dead. Its bytes stay in the table until the page is tidied, and parts
of them longer; and the write-ahead log holds every row as it was written, until its segment goes. So after
a deletion the tables are rewritten, and in the embedded server the log goes on in a new segment and the old
ones are deleted (`wal_recycle` is off there). What a server elsewhere does with its log is not ours to say.
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
"""Those that hold what people said, or its ids."""
_REWRITTEN_BYTES: Final = 64 * 1024 * 1024
"""A table up to this size is rewritten, while nobody else can read it: some tenths of a second. A larger one
is only tidied: of a row that was the last in its page some bytes may stay until that page is written anew."""
_LOCK_MS: Final = 2000
_STATEMENT_MS: Final = 120_000


async def vacuum(database: Database) -> bool:
    """Rewrite the tables, and in the embedded server let the write-ahead log go; False: not all could be.

    Raises:
        StoreError: If the database is away.
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
        raise StoreError(f"deleted rows cannot be taken out of the database's files: {error}") from error
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
        _log.info("the table %s is in use: what was deleted from it is taken out of its file later", table)
        return False
    return True
