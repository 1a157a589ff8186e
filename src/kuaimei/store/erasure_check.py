"""Erasure check: searches every text column and the names of recordings for what should be deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from kuaimei.store.blobs import Blobs
from kuaimei.store.database import Database
from kuaimei.store.tables import keys, metadata, preferences, sessions, utterances, voices

__all__ = ["Leftover", "find_leftovers", "find_names", "find_sentences", "renew_statistics"]

_KNOWN: Final = frozenset({"erased_voices", "deletions"})
"""Tables that hold only ids of what was deleted, on purpose: they are needed to delete audio made later in a
deleted voice, and what another process was just writing."""
_PERSON: Final = "person_"
_NO_FOLDERS: Final = ("utt_", "trial_", "key_", _PERSON)
"""Prefixes of ids without recordings: only sessions and voices have folders."""
_STATISTICS: Final = "pg_stats"
"""Statistics in which PostgreSQL keeps samples of a column's values until the next ``analyze``."""
_SENTENCE_LENGTH: Final = 8
"""Minimum length of a sentence that identifies a person, unlike 「你好嗎」."""

_PATIENTLY: Final = text("set local statement_timeout = 0")
"""No timeout: everything is searched, which takes long if there is much."""

_COLUMNS: Final = text(
    """
    select table_schema as schema, table_name as "table", column_name as "column"
    from information_schema.columns join information_schema.tables using (table_schema, table_name)
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')
      and (data_type in ('text', 'character varying', 'character', 'json', 'jsonb', 'ARRAY', 'xml')
           or udt_name in ('citext', 'name'))
    order by 1, 2, 3
    """
)


@dataclass(frozen=True, slots=True)
class Leftover:
    """Result of the search of one place.

    Attributes:
        place: Such as ``database: utterances.transcript``.
        found: Number of rows or names there that hold something that should be deleted.
    """

    place: str
    found: int


async def find_names(database: Database, owner: str, until: datetime | None) -> Sequence[str]:
    """Return ids of all a person owns; without ``until`` also those of the person and their keys.

    The id of a person from before ids were generated is left out: it may be any word.

    Args:
        database: The database.
        owner: Id of the person.
        until: Only what existed at that time; None: everything.

    Raises:
        StoreError: If the database is unavailable.
    """

    def then(column: Any) -> Any:
        return true() if until is None else column <= until

    mine = select(sessions.c.id).where(sessions.c.owner == owner, then(sessions.c.started_at))
    trials = select(preferences.c.id).where(preferences.c.owner == owner, then(preferences.c.created_at))
    queries = [
        mine,
        select(utterances.c.id).where(utterances.c.session_id.in_(mine)),
        select(voices.c.id).where(voices.c.owner == owner, then(voices.c.created_at)),
        trials,
    ]
    if until is None:
        queries.append(select(keys.c.id).where(keys.c.person == owner))
    async with database.begin() as connection:
        found = [name for query in queries for name in await connection.scalars(query)]
    return [*([owner] if until is None and owner.startswith(_PERSON) else []), *found]


async def find_sentences(database: Database, owner: str, until: datetime | None, limit: int) -> Sequence[str]:
    """Return sentences found only in sessions of the person; the longest, which identify best.

    Args:
        database: The database.
        owner: Id of the person.
        until: Only sessions that had begun at that time; None: all.
        limit: Maximum number of sentences.

    Raises:
        StoreError: If the database is unavailable.
    """
    query = text(
        """
        with gone as (
            select id from sessions
            where owner = :owner and (cast(:until as timestamptz) is null or started_at <= :until)
        ), mine as (
            select distinct u.transcript as said from utterances u join gone on gone.id = u.session_id
            where length(u.transcript) >= :least order by u.transcript limit 5000
        ), longest as (select said from mine order by length(said) desc limit :limit)
        select said from longest where not exists (
            select from utterances o
            where o.session_id not in (select id from gone) and position(longest.said in o.transcript) > 0
        )
        """
    ).bindparams(owner=owner, until=until, least=_SENTENCE_LENGTH, limit=limit)
    async with database.begin() as connection:
        await connection.execute(_PATIENTLY)
        return list(await connection.scalars(query))


async def find_leftovers(
    database: Database, blobs: Blobs, names: Sequence[str], sentences: Sequence[str]
) -> Sequence[Leftover]:
    """Search every place; return each with the number of matches.

    Args:
        database: Every table is searched, with those of the job queue and PostgreSQL's samples of columns.
        blobs: Blob store, searched by the names of blobs.
        names: Ids, searched as whole words.
        sentences: Sentences, searched as parts of a text.

    Raises:
        StoreError: If a place cannot be searched.
    """
    places: list[Leftover] = []
    wanted = {name for name in names if name}
    async with database.begin() as connection:
        await connection.execute(_PATIENTLY)
        await connection.execute(text("create temporary table wanted (word text primary key) on commit drop"))
        if wanted:
            rows = [{"word": word} for word in wanted]
            await connection.execute(text("insert into wanted (word) values (:word)"), rows)
        for column in await connection.execute(_COLUMNS):
            if column.table in _KNOWN or column.schema.startswith("pg_temp"):
                continue
            where = f"{_quoted(column.schema)}.{_quoted(column.table)}"
            found = await _count(connection, where, _quoted(column.column), sentences)
            places.append(Leftover(f"database: {column.table}.{column.column}", found))
        known = ", ".join(f"'{name}'" for name in sorted(_KNOWN))
        samples = f"(select * from {_STATISTICS} where tablename not in ({known}, 'wanted')) as held"  # noqa: S608
        held = "concat_ws(' ', most_common_vals::text, histogram_bounds::text, most_common_elems::text)"
        places.append(
            Leftover(f"database: {_STATISTICS}", await _count(connection, samples, held, sentences))
        )
    kept = 0
    for folder in sorted(name for name in wanted if not name.startswith(_NO_FOLDERS)):
        for place in (folder, f"voices/{folder}"):
            kept += len([key async for key in blobs.keys(place)])
    places.append(Leftover(f"recordings: {blobs.place}", kept))
    return places


async def renew_statistics(database: Database) -> None:
    """Renew PostgreSQL's column statistics, which hold samples of deleted rows.

    Raises:
        StoreError: If the database is unavailable, or another account owns the tables.
    """
    async with database.begin() as connection:
        await connection.execute(_PATIENTLY)
        for name in metadata.tables:
            await connection.execute(text(f"analyze {_quoted(name)}"))
            # For an empty table, analyze keeps the old samples.
            if not await connection.scalar(text(f"select exists (select from {_quoted(name)})")):  # noqa: S608
                gone = text("delete from pg_statistic where starelid = cast(:name as regclass)")
                await connection.execute(gone.bindparams(name=name))


async def _count(connection: AsyncConnection, table: str, column: str, sentences: Sequence[str]) -> int:
    """Count rows of ``table`` whose ``column`` holds a wanted word or one of ``sentences``."""
    query = text(
        f"""
        select count(*) from {table} where exists (
            select from regexp_split_to_table({column}::text, '[^A-Za-z0-9_-]+') as word
            join wanted using (word)
        ) or exists (
            select from unnest(cast(:sentences as text[])) as sentence
            where position(sentence in {column}::text) > 0
        )
        """  # noqa: S608 - names from the catalogue, quoted
    ).bindparams(sentences=[*sentences])
    found: Any = await connection.scalar(query)
    return int(found or 0)


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
