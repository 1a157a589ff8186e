"""PostgreSQL access: connections, transactions, migrations."""

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import Select, text
from sqlalchemy.engine import Connection as SyncConnection
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from kuaimei.errors import StoreError, Unstorable
from kuaimei.store.connection import CONNECT_TIMEOUT_S, DatabaseConnection, patient, with_deadlines
from kuaimei.store.deadlock_retry import DEADLOCKS, Deadlock
from kuaimei.store.migrations import HEAD
from kuaimei.store.postgres.embedded_server import DATABASE_DIR, EmbeddedPostgres

__all__ = ["Database", "open_database"]

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 200
"""Rows fetched at a time: some milliseconds of the event loop."""
_POOL: Final = 5
"""Connections for conversations and jobs."""
_BROWSING: Final = 3
"""Connections for browsing: however long a query takes, it does not delay conversations."""
_BROWSING_S: Final = 15.0
_PROBE_S: Final = 5.0
_MIGRATION_LOCK: Final = 0x6B75_6169_6D65_6901
"""Advisory lock (an arbitrary number) held while the schema is migrated."""
_NO_SUCH_ROW: Final = "23503"
"""SQLSTATE of a foreign key violation: the referenced row was deleted."""
_NEVER: Final = ("22", "23", "54")
"""SQLSTATE classes of permanent errors: data exception, integrity constraint violation, program limit
exceeded."""


class Database:
    """Connections to one PostgreSQL database.

    Args:
        conninfo: In libpq's form or as a URL.
        embedded: The embedded server, if the database runs in one.
        timeout_s: Timeout of one statement; 0: none.
    """

    def __init__(
        self, conninfo: str, embedded: EmbeddedPostgres | None = None, *, timeout_s: float = 30.0
    ) -> None:
        self.conninfo = with_deadlines(conninfo, timeout_s)
        self.connection_class = patient(timeout_s)
        self._unbounded = with_deadlines(conninfo, 0.0)
        self._embedded = embedded
        self._engine = self._pool(conninfo, timeout_s, _POOL)
        self._browser = self._pool(conninfo, min(timeout_s, _BROWSING_S) if timeout_s else 0.0, _BROWSING)

    @staticmethod
    def _pool(conninfo: str, timeout_s: float, size: int) -> AsyncEngine:
        bounded, kind = with_deadlines(conninfo, timeout_s), patient(timeout_s)

        async def connect() -> DatabaseConnection:
            return await kind.connect(bounded)

        return create_async_engine(
            "postgresql+psycopg://",
            async_creator=connect,
            pool_size=size,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT_S,
            pool_pre_ping=True,
            # Parameters contain what was said.
            hide_parameters=True,
        )

    @property
    def embedded(self) -> bool:
        """True if the database runs in the embedded server."""
        return self._embedded is not None

    async def connect(self, timeout_s: float = 0.0) -> DatabaseConnection:
        """Open a connection outside the pools.

        Args:
            timeout_s: Timeout of one answer; 0: none.
        """
        return await patient(timeout_s).connect(self._unbounded)

    async def probe(self) -> None:
        """Query the database over a separate connection: the pools are reserved for authenticated clients.

        Raises:
            StoreError: If the database is unavailable.
        """
        try:
            async with await self.connect(_PROBE_S) as connection:
                await connection.execute("select 1")
        except (psycopg.Error, OSError) as error:
            raise StoreError(f"database error: {_first_line(error)}") from error

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that is committed at the end of the block.

        Raises:
            StoreError: If the database is unavailable or refuses.
            Deadlock: If it was aborted in favour of another transaction; see `again_after_deadlock`.
            Unstorable: If the database can never store what it was given.
            IntegrityError: If a referenced row does not exist; the caller knows what that means.
        """
        async with _transaction(self._engine) as connection:
            yield connection

    @asynccontextmanager
    async def browse(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction on the browsing pool, for queries that may take longer; see `begin`."""
        async with _transaction(self._browser) as connection:
            yield connection

    async def every(self, query: Select[Any]) -> AsyncIterator[Any]:
        """Yield all rows of ``query`` from one snapshot, in batches that do not block the event loop.

        Raises:
            StoreError: If the database is unavailable or refuses.
        """
        async with self.browse() as connection:
            found = await connection.stream(query, execution_options={"yield_per": _AT_ONCE})
            async for rows in found.partitions():
                for row in rows:
                    yield row
                await asyncio.sleep(0)

    async def heal(self) -> None:
        """Restart the embedded server if it has died; does nothing for an external database.

        Raises:
            StoreError: If it does not start.
        """
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.ensure_running)

    async def migrate(self) -> None:
        """Migrate the schema to the current revision; other processes wait meanwhile.

        Raises:
            StoreError: If the database cannot be reached, or is newer than this code.
        """
        async with self.begin() as connection:
            if await _revision(connection) == HEAD:
                return
        # In a thread: the import takes as long as the synthesis of a clause.
        await asyncio.to_thread(importlib.import_module, "alembic.command")
        async with self._unhurried() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            found = await _revision(connection)
            if found == HEAD:
                return
            if found is not None and found > HEAD:
                raise StoreError(
                    f"the database is at revision {found}, but this version only knows {HEAD}: "
                    "use a newer kuaimei"
                )
            _log.info("migrating the database from revision %s to %s", found or "none", HEAD)
            await connection.run_sync(_upgrade)

    @asynccontextmanager
    async def _unhurried(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction without deadlines: rewriting a large table takes long."""
        engine = create_async_engine(
            "postgresql+psycopg://", async_creator=self.connect, poolclass=NullPool, hide_parameters=True
        )
        try:
            async with _transaction(engine) as connection:
                yield connection
        finally:
            await engine.dispose()

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()
        await self._browser.dispose()


@asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    try:
        async with engine.begin() as connection:
            yield connection
    except (DataError, IntegrityError, UnicodeEncodeError) as error:
        if isinstance(error, IntegrityError) and _sqlstate(error) == _NO_SUCH_ROW:
            raise
        raise _unstorable(error) from None
    except (SQLAlchemyError, psycopg.Error, OSError) as error:
        state = _sqlstate(error) or ""
        if state[:2] in _NEVER:
            raise _unstorable(error) from None
        if state in DEADLOCKS:
            raise Deadlock(
                "the database aborted the transaction because of a conflict with another one"
            ) from error
        raise StoreError(f"database error: {_first_line(error)}") from error


def _sqlstate(error: BaseException) -> str | None:
    state = getattr(getattr(error, "orig", None) or error, "sqlstate", None)
    return None if state is None else str(state)


def _unstorable(error: BaseException) -> Unstorable:
    """Convert a permanent error; its message is not quoted, as it contains the data to be stored."""
    kind = type(getattr(error, "orig", None) or error).__name__
    state = _sqlstate(error)
    return Unstorable(
        f"the database cannot store this ({kind}{f', SQLSTATE {state}' if state else ''}): "
        "remove NUL characters and lone surrogates, and make it shorter"
    )


async def _revision(connection: AsyncConnection) -> str | None:
    if await connection.scalar(text("select to_regclass('alembic_version')")) is None:
        return None
    found: str | None = await connection.scalar(text("select version_num from alembic_version"))
    return found


def _upgrade(connection: SyncConnection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def _first_line(error: BaseException) -> str:
    original = getattr(error, "orig", None) or error
    return next(iter(str(original).strip().splitlines()), type(original).__name__)


@asynccontextmanager
async def open_database(
    url: str,
    folder: Path,
    base: Path = DATABASE_DIR,
    *,
    server: EmbeddedPostgres | None = None,
    timeout_s: float = 30.0,
) -> AsyncIterator[Database]:
    """Open the database at ``url``, or the embedded one if that is empty, and migrate its schema.

    Args:
        url: URL of PostgreSQL, or empty.
        folder: Data folder of the embedded server.
        base: See `EmbeddedPostgres`.
        server: The embedded server, if the caller has one already.
        timeout_s: Timeout of one statement; 0: none.

    Raises:
        StoreError: If it cannot be reached or started.
    """
    embedded = None if url else server or EmbeddedPostgres(folder, base)
    try:
        if embedded is not None:
            await asyncio.to_thread(embedded.start)
        conninfo = embedded.conninfo if embedded else _plain(url)
        try:
            database = Database(conninfo, embedded, timeout_s=timeout_s)
        except psycopg.ProgrammingError as error:
            raise StoreError(f"the database URL is invalid: {_first_line(error)}") from error
        try:
            await database.migrate()
            yield database
        finally:
            await database.close()
    finally:
        if embedded is not None:
            await asyncio.to_thread(embedded.stop)


def _plain(url: str) -> str:
    """Remove SQLAlchemy's driver from the URL scheme, which libpq does not know."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{mark}{rest}"
