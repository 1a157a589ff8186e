"""The migrations make exactly the tables the queries see."""

import asyncio

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from procrastinate.schema import SchemaManager
from sqlalchemy import text
from sqlalchemy.engine import Connection

from kuaimei.settings import Settings
from kuaimei.store import open_store
from kuaimei.store.database import Database
from kuaimei.store.migrations import HEAD
from kuaimei.store.tables import metadata


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "include_name": lambda name, kind, parents: (
                not (kind == "table" and (name or "").startswith(("procrastinate", "alembic")))
            ),
        },
    )
    return list(compare_metadata(context, metadata))


async def test_up_from_empty_by_many_at_once(settings: Settings) -> None:
    databases = [Database(settings.store.database_url) for _ in range(4)]
    await asyncio.gather(*(database.migrate() for database in databases))
    async with databases[0].begin() as connection:
        assert await connection.scalar(text("select version_num from alembic_version")) == HEAD
        assert await connection.run_sync(_differences) == []
    for database in databases:
        await database.close()


async def test_nothing_is_done_twice(settings: Settings) -> None:
    async with open_store(settings) as store:
        await store.ensure_session("sess_a")
        await store.ensure_session("sess_a")
    async with open_store(settings) as store:
        assert [s.id for s in await store.sessions()] == ["sess_a"]


def test_the_code_knows_its_newest_revision() -> None:
    folder = ScriptDirectory("src/kuaimei/store/migrations")
    assert folder.get_heads() == [HEAD]


def test_no_migration_of_the_queue_is_missing() -> None:
    """A newer procrastinate brings newer scripts: they need a revision of their own."""
    from pathlib import Path

    newest = max(path.name for path in Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    assert newest.startswith("03.04.00_50")
