"""Background maintenance of an open store: deletions, retention, vacuum, disk space."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select

from kuaimei.errors import KuaimeiError, NotFound
from kuaimei.store import queries, tables
from kuaimei.store.database import Database
from kuaimei.store.deletion_steps import Eraser
from kuaimei.store.deletions import Deletions
from kuaimei.store.disk_space import Space
from kuaimei.store.quarantine import Broken
from kuaimei.store.retention import Retention
from kuaimei.store.vacuum import vacuum
from kuaimei.system.failures import kind_of

__all__ = ["Maintenance"]

_log = logging.getLogger(__name__)

_RESUME_WAIT_S: Final = 10.0
_EVERY_S: Final = 60.0
_DISK_S: Final = 10.0
_VACUUM_AFTER_S: Final = 5.0
"""Delay of the vacuum: deletions often come in series, and the tables are rewritten once for all of them, at
most once a minute."""


class Maintenance:
    """Background maintenance; run `run` and `watch_disk` under a supervisor that restarts them.

    Args:
        database: The database.
        deletions: Deletions in progress.
        eraser: Steps of a deletion.
        broken: Quarantine of utterances that cannot be stored.
        space: Free disk space.
        delete_session: `kuaimei.store.store.Store.delete_session`.
        retention_days: Days without speech after which a conversation is deleted; 0: never.

    Attributes:
        retention: Decides what may be deleted because of its age.
    """

    def __init__(
        self,
        database: Database,
        deletions: Deletions,
        eraser: Eraser,
        broken: Broken,
        space: Space,
        delete_session: Callable[[str], Awaitable[bool]],
        retention_days: float,
    ) -> None:
        self.retention = Retention(database)
        self.retention_days = retention_days
        self._database = database
        self._deletions = deletions
        self._eraser = eraser
        self._broken = broken
        self._space = space
        self._delete_session = delete_session
        self._vacuum_wanted = asyncio.Event()
        self._vacuumed_s = -_EVERY_S
        deletions.finished = self._vacuum_wanted.set

    async def run(self) -> None:
        """Finish deletions, delete expired data and vacuum the database, until cancelled."""
        while True:
            try:
                await self._tidy()
            except (KuaimeiError, OSError) as error:
                _log.warning("maintenance of the stored data failed; it will be retried: %s", kind_of(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_S):
                    await self._vacuum_wanted.wait()
                    early_s = self._vacuumed_s + _EVERY_S - asyncio.get_running_loop().time()
                    await asyncio.sleep(max(_VACUUM_AFTER_S, early_s))

    async def watch_disk(self) -> None:
        """Check the free disk space periodically, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self._space.look)
            except OSError as error:
                _log.warning("the free disk space cannot be determined: %s", kind_of(error))
            await asyncio.sleep(_DISK_S)

    async def resume(self) -> None:
        """Resume the deletions of an earlier process; long ones go on after the start."""
        try:
            async with asyncio.timeout(_RESUME_WAIT_S):
                await self.finish_deletions()
                await self._eraser.sweep()
        except (KuaimeiError, OSError, TimeoutError) as error:
            _log.warning("pending deletions will be resumed later: %s", kind_of(error))

    async def finish_deletions(self) -> int:
        """Resume all deletions; return the number of unfinished ones.

        Raises:
            StoreError: If a part could not be deleted.
        """
        left = await self._deletions.finish_all()
        await self._eraser.erase_spoken()
        return left

    async def expire(self) -> int:
        """Delete conversations without speech for longer than ``retention_days``; return how many.

        Raises:
            StoreError: If the database is unavailable.
        """
        if not self.retention_days:
            return 0
        before = await self.retention.now() - timedelta(days=self.retention_days)
        async with self._database.browse() as connection:
            old = list(await connection.scalars(queries.silent_since(before)))
            total = await connection.scalar(select(func.count()).select_from(tables.sessions)) or 0
        released = await self.retention.release("conversations", old, total)
        for session in released:
            with suppress(NotFound):  # deleted meanwhile
                await self._delete_session(session)
        return len(released)

    async def vacuum(self) -> bool:
        """Remove deleted rows from the database's files; False if not all. See `kuaimei.store.vacuum`.

        Raises:
            StoreError: If the database is unavailable.
        """
        return await vacuum(self._database)

    async def _tidy(self) -> None:
        await self.finish_deletions()
        await self.expire()
        await asyncio.to_thread(self._broken.expire)
        if self._vacuum_wanted.is_set():
            self._vacuum_wanted.clear()
            loop = asyncio.get_running_loop()
            self._vacuumed_s = loop.time()
            if not await self.vacuum():
                loop.call_later(_EVERY_S, self._vacuum_wanted.set)
