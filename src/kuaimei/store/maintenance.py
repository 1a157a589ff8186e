"""What a store does by itself while it is open: finishes deletions, expires, tidies, looks at the disk."""

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
"""Whoever deletes one thing often deletes the next: the tables are rewritten once for all of them, and once a
minute at most."""


class Maintenance:
    """Run `run` and `watch_disk` in the background, under somebody who starts them again.

    Args:
        delete_session: Of `kuaimei.store.store.Store`.
        retention_days: Conversations in which nothing was said for so long are deleted; 0: none is.

    Attributes:
        retention: Says what may be deleted for its age.
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
        """Until cancelled: finish what is being deleted, expire, and tidy the database's files."""
        while True:
            try:
                await self._tidy()
            except (KuaimeiError, OSError) as error:
                _log.warning("what is kept cannot be looked after now: %s", kind_of(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_S):
                    await self._vacuum_wanted.wait()
                    early_s = self._vacuumed_s + _EVERY_S - asyncio.get_running_loop().time()
                    await asyncio.sleep(max(_VACUUM_AFTER_S, early_s))

    async def watch_disk(self) -> None:
        """Until cancelled: look how much room is left."""
        while True:
            try:
                await asyncio.to_thread(self._space.look)
            except OSError as error:
                _log.warning("how much room is left on the disk cannot be told: %s", kind_of(error))
            await asyncio.sleep(_DISK_S)

    async def resume(self) -> None:
        """Go on with what an earlier process was deleting; what takes long goes on after the start."""
        try:
            async with asyncio.timeout(_RESUME_WAIT_S):
                await self.finish_deletions()
                await self._eraser.sweep()
        except (KuaimeiError, OSError, TimeoutError) as error:
            _log.warning("what is being deleted is gone on with later: %s", kind_of(error))

    async def finish_deletions(self) -> int:
        """Go on with everything that is being deleted; how many deletions are left.

        Raises:
            StoreError: If a part could not be deleted.
        """
        left = await self._deletions.finish_all()
        await self._eraser.erase_spoken()
        return left

    async def expire(self) -> int:
        """Delete conversations in which nothing was said for longer than the settings allow; how many.

        Raises:
            StoreError: If the database is away.
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
        """Take what was deleted out of the database's files, see `kuaimei.store.vacuum`; False: not all.

        Raises:
            StoreError: If the database is away.
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
