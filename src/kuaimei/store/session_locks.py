"""Session locks: a session is open in one server at a time, however many share the database.

A server holds an advisory lock of the database for each open session, which is released with the server's
connection, however that ends. Within one server, `kuaimei.server.admission` hands sessions over.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import psycopg

from kuaimei.errors import Conflict
from kuaimei.store.connection import DatabaseConnection
from kuaimei.store.database import Database

__all__ = ["Claims"]

_log = logging.getLogger(__name__)

_NAMESPACE: Final = 0x6B75_616A
"""First key of the locks; the second is a hash of the session's id."""
_PATIENCE_S: Final = 3.0
"""Timeout of the database: the user is waiting to talk."""


class Claims:
    """Locks on the sessions that are open in this server."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._holder: DatabaseConnection | None = None
        self._held: Counter[str] = Counter()
        self._asking = asyncio.Lock()

    @asynccontextmanager
    async def hold(self, session: str) -> AsyncIterator[None]:
        """Lock the session for the duration of the block; succeeds without a lock if the database is down.

        Raises:
            Conflict: If the session is open in another server.
        """
        async with self._asking:
            if not self._held[session] and not await self._take(session):
                raise Conflict(f"the session {session} is open on another server: end it there first")
            self._held[session] += 1
        try:
            yield
        finally:
            async with self._asking:
                self._held[session] -= 1
                if not self._held[session]:
                    del self._held[session]
                    await self._give_back(session)

    async def close(self) -> None:
        """Release all locks."""
        holder, self._holder = self._holder, None
        if holder is not None:
            await holder.close()

    async def _take(self, session: str) -> bool:
        """Take the lock; return False if another server has it."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                try:
                    return await self._lock(session)
                except (psycopg.Error, OSError):  # the connection died since, and its locks with it
                    await self.close()
                    return await self._lock(session)
        except (psycopg.Error, OSError, TimeoutError) as error:
            await self.close()
            _log.warning("cannot check whether another server has a session open: %s", type(error).__name__)
            return True

    async def _lock(self, session: str) -> bool:
        if self._holder is None:
            self._holder = await self._database.connect(_PATIENCE_S)
            await self._holder.set_autocommit(True)
            for held in list(self._held):
                await self._ask("pg_try_advisory_lock", held)
        return await self._ask("pg_try_advisory_lock", session)

    async def _give_back(self, session: str) -> None:
        if self._holder is not None:
            with suppress(psycopg.Error, OSError):
                await self._ask("pg_advisory_unlock", session)

    async def _ask(self, function: str, session: str) -> bool:
        assert self._holder is not None  # noqa: S101 - for the type checker
        query = f"select {function}(%s, hashtext(%s))"
        row = await (await self._holder.execute(query, (_NAMESPACE, session))).fetchone()
        return row is not None and bool(row[0])
