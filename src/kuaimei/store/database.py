"""The way to PostgreSQL: connections, transactions, migrations."""

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import Select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from kuaimei.errors import StoreError
from kuaimei.store.embedded import DATABASE_DIR, EmbeddedPostgres
from kuaimei.store.migrations import HEAD

__all__ = ["Database", "open_database"]

_log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 5
_POOL = 5
_AT_ONCE = 200
"""Rows that are taken in one go: some milliseconds of the event loop."""
_MIGRATION_LOCK = 0x6B75_6169_6D65_6901
"""Advisory lock (any number nobody else uses) under which the schema is brought up to date."""


class Database:
    """Connections to one PostgreSQL.

    Args:
        conninfo: In libpq's form or as a URL.
        embedded: The server behind it, if it is ours to keep alive.
    """

    def __init__(self, conninfo: str, embedded: EmbeddedPostgres | None = None) -> None:
        self.conninfo = make_conninfo(
            conninfo, connect_timeout=_CONNECT_TIMEOUT_S, application_name="kuaimei"
        )
        self._embedded = embedded
        self._engine: AsyncEngine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=self.connect,
            pool_size=_POOL,
            max_overflow=0,
            pool_timeout=_CONNECT_TIMEOUT_S,
            pool_pre_ping=True,
        )

    @property
    def embedded(self) -> bool:
        """The server is our own."""
        return self._embedded is not None

    async def connect(self) -> psycopg.AsyncConnection:
        """A connection of one's own, outside the pool."""
        return await psycopg.AsyncConnection.connect(self.conninfo)

    async def probe(self) -> None:
        """Ask it something over a connection of its own: those of the pool are for those who have a key.

        Raises:
            StoreError: If it is away.
        """
        try:
            async with await self.connect() as connection:
                await connection.execute("select 1")
        except (psycopg.Error, OSError) as error:
            raise StoreError(f"the database refused: {_first_line(error)}") from error

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed at the end of the block.

        Raises:
            StoreError: If the database is away or refuses.
            IntegrityError: If a row it refers to is not there; the caller knows what that means.
        """
        try:
            async with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except (SQLAlchemyError, psycopg.Error, OSError) as error:
            raise StoreError(f"the database refused: {_first_line(error)}") from error

    async def every(self, query: Select[Any]) -> AsyncIterator[Any]:
        """Every row of ``query``, as it was at one moment, a few at a time: nobody else waits for all.

        Raises:
            StoreError: If the database is away or refuses.
        """
        async with self.begin() as connection:
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
        async with self.begin() as connection:
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

    async def close(self) -> None:
        """Let go of all connections."""
        await self._engine.dispose()


async def _revision(connection: AsyncConnection) -> str | None:
    if await connection.scalar(text("select to_regclass('alembic_version')")) is None:
        return None
    found: str | None = await connection.scalar(text("select version_num from alembic_version"))
    return found


def _upgrade(connection: Connection) -> None:
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
    url: str, folder: Path, base: Path = DATABASE_DIR, server: EmbeddedPostgres | None = None
) -> AsyncIterator[Database]:
    """The database at ``url``, or the embedded one of ``folder`` if that is empty; schema up to date.

    ``base`` is that of `EmbeddedPostgres`; ``server`` is that one, if the caller has it already.

    Raises:
        StoreError: If it cannot be reached or started.
    """
    embedded = None if url else server or EmbeddedPostgres(folder, base)
    try:
        if embedded is not None:
            await asyncio.to_thread(embedded.start)
        conninfo = embedded.conninfo if embedded else _plain(url)
        try:
            database = Database(conninfo, embedded)
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
