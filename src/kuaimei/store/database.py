"""The way to PostgreSQL: connections, transactions, migrations."""

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
"""Rows that are taken in one go: some milliseconds of the event loop."""
_POOL: Final = 5
"""Connections for what is being said, and for jobs."""
_BROWSING: Final = 3
"""… and others for what is looked through: however long that takes, it holds up nobody who talks."""
_BROWSING_S: Final = 15.0
_PROBE_S: Final = 5.0
_MIGRATION_LOCK: Final = 0x6B75_6169_6D65_6901
"""Advisory lock (any number nobody else uses) under which the schema is brought up to date."""
_NO_SUCH_ROW: Final = "23503"
"""SQLSTATE of a foreign key that names no row: what it belongs to was deleted."""
_NEVER: Final = ("22", "23", "54")
"""Classes of SQLSTATE that come again however often the same thing is tried: data exception, integrity
constraint violation, program limit exceeded."""


class Database:
    """Connections to one PostgreSQL.

    Args:
        conninfo: In libpq's form or as a URL.
        embedded: The server behind it, if it is ours to keep alive.
        timeout_s: Longest time of one statement; 0: none.
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
            # What was said is in them.
            hide_parameters=True,
        )

    @property
    def embedded(self) -> bool:
        """The server is our own."""
        return self._embedded is not None

    async def connect(self, timeout_s: float = 0.0) -> DatabaseConnection:
        """A connection of one's own, outside the pools.

        Args:
            timeout_s: Longest wait for an answer; 0: for ever.
        """
        return await patient(timeout_s).connect(self._unbounded)

    async def probe(self) -> None:
        """Ask it something over a connection of its own: those of the pool are for those who have a key.

        Raises:
            StoreError: If it is away.
        """
        try:
            async with await self.connect(_PROBE_S) as connection:
                await connection.execute("select 1")
        except (psycopg.Error, OSError) as error:
            raise StoreError(f"the database refused: {_first_line(error)}") from error

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed at the end of the block.

        Raises:
            StoreError: If the database is away or refuses.
            Deadlock: If it ended this in favour of another; see `again_after_deadlock`.
            Unstorable: If it can never hold what it was given.
            IntegrityError: If a row it refers to is not there; the caller knows what that means.
        """
        async with _transaction(self._engine) as connection:
            yield connection

    @asynccontextmanager
    async def browse(self) -> AsyncIterator[AsyncConnection]:
        """A transaction for looking through what is kept, which may take longer; see `begin`."""
        async with _transaction(self._browser) as connection:
            yield connection

    async def every(self, query: Select[Any]) -> AsyncIterator[Any]:
        """Every row of ``query``, as it was at one moment, a few at a time: nobody else waits for all.

        Raises:
            StoreError: If the database is away or refuses.
        """
        async with self.browse() as connection:
            found = await connection.stream(query, execution_options={"yield_per": _AT_ONCE})
            async for rows in found.partitions():
                for row in rows:
                    yield row
                await asyncio.sleep(0)

    async def heal(self) -> None:
        """Start the embedded server again if it has died; a database elsewhere heals itself.

        Raises:
            StoreError: If it does not come up.
        """
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.ensure_running)

    async def migrate(self) -> None:
        """Bring the schema up to date; whoever else wants to waits.

        Raises:
            StoreError: If the database cannot be reached, or is newer than this code.
        """
        async with self.begin() as connection:
            if await _revision(connection) == HEAD:
                return
        # Off the loop: it takes as long as a whole clause of synthesis.
        await asyncio.to_thread(importlib.import_module, "alembic.command")
        async with self._unhurried() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            found = await _revision(connection)
            if found == HEAD:
                return
            if found is not None and found > HEAD:
                raise StoreError(
                    f"the database is at revision {found}, this version knows {HEAD}: use the newer kuaimei"
                )
            _log.info("bringing the database from revision %s to %s", found or "none", HEAD)
            await connection.run_sync(_upgrade)

    @asynccontextmanager
    async def _unhurried(self) -> AsyncIterator[AsyncConnection]:
        """A transaction without deadlines: to rewrite a table takes as long as the table is large."""
        engine = create_async_engine(
            "postgresql+psycopg://", async_creator=self.connect, poolclass=NullPool, hide_parameters=True
        )
        try:
            async with _transaction(engine) as connection:
                yield connection
        finally:
            await engine.dispose()

    async def close(self) -> None:
        """Let go of all connections."""
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
                "the database had to end what was asked for in favour of something else"
            ) from error
        raise StoreError(f"the database refused: {_first_line(error)}") from error


def _sqlstate(error: BaseException) -> str | None:
    state = getattr(getattr(error, "orig", None) or error, "sqlstate", None)
    return None if state is None else str(state)


def _unstorable(error: BaseException) -> Unstorable:
    """Its words are not quoted: there is in them what was to be kept."""
    kind = type(getattr(error, "orig", None) or error).__name__
    state = _sqlstate(error)
    return Unstorable(
        f"the database can never hold this ({kind}{f', SQLSTATE {state}' if state else ''}): "
        "leave out NUL and halves of surrogate pairs, and make it shorter"
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
    """Open the database at ``url``, or the embedded one of ``folder`` if that is empty; schema up to date.

    Args:
        url: Of PostgreSQL, or empty.
        folder: Of the embedded one.
        base: Of `EmbeddedPostgres`.
        server: The embedded one, if the caller has it already.
        timeout_s: Longest time of one statement; 0: none.

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
            raise StoreError(f"the database URL cannot be understood: {_first_line(error)}") from error
        try:
            await database.migrate()
            yield database
        finally:
            await database.close()
    finally:
        if embedded is not None:
            await asyncio.to_thread(embedded.stop)


def _plain(url: str) -> str:
    """Without SQLAlchemy's driver in the scheme, which libpq does not know."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{mark}{rest}"
