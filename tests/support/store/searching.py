"""Looks for words and ids wherever something of them may be left."""

import os
from collections.abc import Iterable
from pathlib import Path

import psycopg
from psycopg import sql

__all__ = ["database_hits", "file_hits"]

_BLOCK = 1 << 20


def file_hits(folder: Path, *words: str, leave_out: Iterable[str] = ()) -> list[str]:
    """Files below ``folder`` that hold one of ``words``, in their name or anywhere in their bytes.

    Args:
        leave_out: Folders right below ``folder`` that are not looked into.
    """
    found = []
    for place, folders, names in os.walk(folder):
        if Path(place) == folder:
            folders[:] = [name for name in folders if name not in set(leave_out)]
        for name in [*folders, *names]:
            path = Path(place, name)
            if any(word in name for word in words) or (path.is_file() and _holds(path, words)):
                found.append(str(path.relative_to(folder)))
    return found


def _holds(path: Path, words: Iterable[str]) -> bool:
    wanted = [word.encode() for word in words]
    overlap = max(map(len, wanted))
    with path.open("rb") as file:
        tail = b""
        while block := file.read(_BLOCK):
            if any(word in tail + block for word in wanted):
                return True
            tail = block[-overlap:]
    return False


def database_hits(conninfo: str, *words: str, leave_out: Iterable[str] = ()) -> list[str]:
    """Tables of the database with a row that holds one of ``words``, in whichever column.

    Args:
        leave_out: Tables that are not looked into.
    """
    with psycopg.connect(conninfo) as connection:
        tables = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'public' "
            "and table_type = 'BASE TABLE'"
        ).fetchall()
        found = []
        for (table,) in tables:
            if table in set(leave_out):
                continue
            query = sql.SQL("select count(*) from {} as found where found::text like any(%s)")
            like = [f"%{word}%" for word in words]
            (count,) = connection.execute(query.format(sql.Identifier(table)), (like,)).fetchone() or (0,)
            if count:
                found.append(table)
        return sorted(found)
