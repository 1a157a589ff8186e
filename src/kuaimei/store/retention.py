"""Retention: protects deletion by age against clock jumps and against deleting nearly everything at once.

A machine whose clock battery is empty, or that trusts a wrong time server, may boot in another century. So
the time used is one that runs evenly: the last time seen, stored in the database, plus what has passed since
by a monotonic clock. If the wall clock is more than a day ahead of that (the machine was off for long, or the
clock is wrong), it is trusted only after it has stayed so for a day of running. Likewise a day passes before
more than a fifth of everything is deleted: long enough to correct a setting.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.tables import clocks, sessions, utterances, voices

__all__ = ["GRACE_S", "SHARE", "Retention"]

_log = logging.getLogger(__name__)

GRACE_S: Final = 86_400.0
"""Seconds for which a clock that jumped is distrusted, and a large deletion is delayed."""
SHARE: Final = 0.2
"""Share of all items above which a deletion is delayed …"""
_FEW: Final = 5
"""… unless it is of at most so many items."""
_JUMP: Final = timedelta(seconds=GRACE_S)
_WALL: Final = "wall"


class Retention:
    """Determines a trustworthy time, and what may be deleted now.

    Args:
        database: Stores the time last seen.
        wall: Wall clock, UTC.
        running_s: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        running_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._wall = wall
        self._running_s = running_s
        self._looked_s: float | None = None
        self._doubting = False
        self._released_s: dict[str, float] = {}

    @again_after_deadlock
    async def now(self) -> datetime:
        """Return the trusted time in UTC; must be called regularly, as each call advances it.

        Raises:
            StoreError: If the database is unavailable.
        """
        wall, running_s = self._wall(), self._running_s()
        passed_s = 0.0 if self._looked_s is None else running_s - self._looked_s
        async with self._database.begin() as connection:
            row = (
                await connection.execute(select(clocks).where(clocks.c.name == _WALL).with_for_update())
            ).first()
            last = row.at if row is not None else await _newest(connection) or wall
            expected, doubted_s = last + timedelta(seconds=passed_s), 0.0
            at = wall
            if wall > expected + _JUMP:
                doubted_s = (0.0 if row is None else row.doubted_s) + passed_s
                if doubted_s < GRACE_S:
                    at = expected
                else:
                    doubted_s = 0.0
            await _note(connection, _WALL, at, doubted_s)
        doubting, self._doubting = self._doubting, at != wall
        if self._doubting and not doubting:
            _log.warning(
                "the clock says %s, but the last known time is %s: nothing is deleted by age until the clock "
                "has been consistent for a day; if it is wrong, correct it",
                *(wall.isoformat(timespec="minutes"), last.isoformat(timespec="minutes")),
            )
        self._looked_s = running_s
        return at

    async def release(self, what: str, old: Sequence[str], total: int) -> Sequence[str]:
        """Return those of ``old`` that may be deleted now; must be called regularly.

        Args:
            what: Kind of the items, such as ``voices``.
            old: Ids of the expired items.
            total: Number of all stored items.

        Raises:
            StoreError: If the database is unavailable.
        """
        running_s = self._running_s()
        passed_s = running_s - self._released_s.get(what, running_s)
        self._released_s[what] = running_s
        many = len(old) > max(_FEW, SHARE * total)
        waiting = await self._wait(f"expire {what}", passed_s, many=many)
        if waiting == "over":
            return old
        if waiting == "begun":
            _log.error(
                "%d of %d %s are past their retention period: they will be deleted in a day, unless the "
                "clock or the setting retention_days is corrected",
                *(len(old), total, what),
            )
        return ()

    @again_after_deadlock
    async def _wait(self, name: str, passed_s: float, *, many: bool) -> Literal["over", "begun", "going on"]:
        """Return the state of the waiting period of a large deletion; a small one need not wait."""
        async with self._database.begin() as connection:
            if not many:
                await connection.execute(delete(clocks).where(clocks.c.name == name))
                return "over"
            row = (await connection.execute(select(clocks).where(clocks.c.name == name))).first()
            waited_s = passed_s + (0.0 if row is None else row.doubted_s)
            if waited_s >= GRACE_S:
                return "over"
            await _note(connection, name, self._wall() if row is None else row.at, waited_s)
        return "begun" if row is None else "going on"


async def _newest(connection: AsyncConnection) -> datetime | None:
    """Return the time at which something was last stored."""
    columns = (sessions.c.started_at, utterances.c.started_at, voices.c.created_at)
    found = [await connection.scalar(select(func.max(column))) for column in columns]
    return max(filter(None, found), default=None)


async def _note(connection: AsyncConnection, name: str, at: datetime, doubted_s: float) -> None:
    values = {"at": at, "doubted_s": doubted_s}
    noted = insert(clocks).values(name=name, **values)
    await connection.execute(noted.on_conflict_do_update(index_elements=["name"], set_=values))
