"""What may be deleted for its age: not because a clock jumped, and not nearly everything at one stroke.

A machine whose clock battery is empty, or that believes a wrong time server, may wake up in another century.
So the time that counts is one that went on evenly: the last that was seen, kept in the database, and what
has passed since by a clock that cannot be set. If the wall clock is more than a day ahead of that (the
machine was off for long, or the clock is wrong), it is believed only after it has stayed so for a day of
running. In the same way a day passes before more than a fifth of everything is deleted: long enough to put
right a setting.
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
"""So long a clock that jumped is doubted, and a deletion of nearly everything put off."""
SHARE: Final = 0.2
"""Of all that is kept: more than this is not deleted at once …"""
_FEW: Final = 5
"""… but so many are."""
_JUMP: Final = timedelta(seconds=GRACE_S)
_WALL: Final = "wall"


class Retention:
    """Says what time it is, and what may go.

    Args:
        wall: The clock on the wall, UTC.
        running_s: A clock that cannot be set.
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
        """The time that can be believed, UTC; to be asked for again and again, for it goes on with that.

        Raises:
            StoreError: If the database is away.
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
                "the clock says %s, and the last that is known here is %s: nothing is deleted for its age "
                "by that clock until it has said so for a day; if it is wrong, set it",
                *(wall.isoformat(timespec="minutes"), last.isoformat(timespec="minutes")),
            )
        self._looked_s = running_s
        return at

    async def release(self, what: str, old: Sequence[str], total: int) -> Sequence[str]:
        """Those of ``old`` that may be deleted now; to be asked for again and again.

        Args:
            what: What they are, such as ``voices``.
            old: Ids of those that are too old.
            total: How many are kept.

        Raises:
            StoreError: If the database is away.
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
                "%d of %d %s are older than they may become: they are deleted in a day, unless the clock or "
                "the setting of retention_days is put right",
                *(len(old), total, what),
            )
        return ()

    @again_after_deadlock
    async def _wait(self, name: str, passed_s: float, *, many: bool) -> Literal["over", "begun", "going on"]:
        """How far the day is for which ``many`` wait; a few wait for nothing."""
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
    """When something was last kept."""
    columns = (sessions.c.started_at, utterances.c.started_at, voices.c.created_at)
    found = [await connection.scalar(select(func.max(column))) for column in columns]
    return max(filter(None, found), default=None)


async def _note(connection: AsyncConnection, name: str, at: datetime, doubted_s: float) -> None:
    values = {"at": at, "doubted_s": doubted_s}
    noted = insert(clocks).values(name=name, **values)
    await connection.execute(noted.on_conflict_do_update(index_elements=["name"], set_=values))
