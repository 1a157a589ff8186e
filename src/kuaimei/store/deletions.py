"""Deletions: the subject is invisible at once, and the work is resumed until nothing is left of it.

A deletion begins with one transaction that deletes all rows and records, in the table ``deletions``, which
files may still exist. From then on the subject cannot be found, and the deletion survives the death of the
process: the start of a store, and its maintenance every minute, repeat the steps, which are idempotent. The
record of the deletion is deleted last.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from kuaimei.errors import KuaimeiError
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.ids import validate_id
from kuaimei.store.tables import deletions, erased_voices, sessions, utterances, voices
from kuaimei.store.utterance_record import LOCAL
from kuaimei.store.utterance_rows import SESSION_LOCK

__all__ = ["Deletion", "DeletionKind", "Deletions", "Step"]

_log = logging.getLogger(__name__)

DeletionKind: TypeAlias = Literal["session", "utterance", "voice"]

_WAIT_S: Final = 20.0
"""Seconds a caller waits for the end of a deletion, which goes on afterwards."""
_LINGER: Final = timedelta(minutes=10)
"""Time in which a write begun by another process may still arrive."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion in progress.

    Attributes:
        subject: Id of what is being deleted.
        owner: Id of the person it belonged to.
        session: Id of the session, or of an utterance's session; empty: unknown.
        utterances: Ids of the session's utterances, or of the utterance itself.
        asked_at: Time of the request, in UTC.
        existed: A row of the subject existed at the time of the request.
    """

    kind: DeletionKind
    subject: str
    owner: str
    session: str
    utterances: tuple[str, ...]
    asked_at: datetime
    existed: bool = field(default=True, compare=False)


Step: TypeAlias = Callable[[Deletion], Awaitable[None]]
"""Deletes a part of the subject; idempotent. Raises `KuaimeiError` or OSError if something is left."""


class Deletions:
    """Requests, runs and resumes deletions.

    Args:
        database: The database.
        steps: Steps of each kind of deletion, in order.
        alone: Returns True if no other process writes to the same store: then nothing can arrive afterwards.

    Attributes:
        finished: Called after each completed deletion.
    """

    def __init__(
        self,
        database: Database,
        steps: Mapping[DeletionKind, Sequence[Step]],
        *,
        alone: Callable[[], Awaitable[bool]],
    ) -> None:
        self.finished: Callable[[], None] = lambda: None
        self.steps: dict[DeletionKind, Sequence[Step]] = dict(steps)
        self._database = database
        self._alone = alone
        self._running: dict[tuple[DeletionKind, str], asyncio.Task[bool]] = {}

    async def get(self, kind: DeletionKind, subject: str) -> Deletion | None:
        """Return the deletion of ``subject`` in progress; None if there is none, or it has ended.

        Raises:
            StoreError: If the database is unavailable.
        """
        table = deletions.c
        query = select(deletions).where((table.kind == kind) & (table.subject == subject))
        async with self._database.begin() as connection:
            row = (await connection.execute(query.where(table.erased_at.is_(None)))).first()
        return None if row is None else _deletion(row)

    async def lingers(self, kind: DeletionKind, subject: str) -> bool:
        """Return True if ``subject`` was just deleted, and only late writes are still waited for.

        Raises:
            StoreError: If the database is unavailable.
        """
        table = deletions.c
        query = select(table.subject).where((table.kind == kind) & (table.subject == subject))
        async with self._database.begin() as connection:
            return (await connection.execute(query.where(table.erased_at.is_not(None)))).first() is not None

    async def count(self, owner: str | None = None) -> int:
        """Count the deletions in progress, of all subjects or of those of one owner.

        Raises:
            StoreError: If the database is unavailable.
        """
        query = select(func.count()).select_from(deletions).where(deletions.c.erased_at.is_(None))
        if owner is not None:
            query = query.where(deletions.c.owner == owner)
        async with self._database.browse() as connection:
            return await connection.scalar(query) or 0

    @again_after_deadlock
    async def request(self, kind: DeletionKind, subject: str, *, session: str = "") -> Deletion:
        """Make the subject invisible and record that it is to be deleted.

        Args:
            kind: Kind of the subject.
            subject: Id of the subject.
            session: Session of an utterance that has no row yet.

        Raises:
            StoreError: If ``subject`` cannot be an id, or the database is unavailable; nothing is deleted.
        """
        validate_id(subject)
        async with self._database.begin() as connection:
            find = {"session": self._session, "utterance": self._utterance, "voice": self._voice}[kind]
            owner, parts, existed = await find(connection, subject)
            if kind == "utterance" and session:
                parts.setdefault("session", session)
            noted = insert(deletions).values(kind=kind, subject=subject, owner=owner, parts=parts)
            again = noted.on_conflict_do_update(
                index_elements=["kind", "subject"],
                # Requested before: the parts found then have no rows any more.
                set_={"erased_at": None, "parts": noted.excluded.parts.op("||")(deletions.c.parts)},
            )
            row = (await connection.execute(again.returning(*deletions.c))).one()
            await connection.execute(_WAITING_JOBS, {"subjects": [subject, *parts.get("utterances", [])]})
        return _deletion(row, existed=existed)

    @again_after_deadlock
    async def withdraw(self, deletion: Deletion) -> None:
        """Withdraw a deletion whose subject did not exist.

        Raises:
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            await connection.execute(delete(deletions).where(_is(deletion)))

    async def finish(self, deletion: Deletion, wait_s: float = _WAIT_S) -> bool:
        """Run the steps; return False if something is left, or they take longer; they are resumed later.

        Args:
            deletion: The deletion.
            wait_s: Longest wait; the work goes on after it.
        """
        key = deletion.kind, deletion.subject
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.create_task(self._run(deletion))
            running.add_done_callback(lambda task: self._running.pop(key, None))
        done, _ = await asyncio.wait({running}, timeout=wait_s)
        return bool(done) and not running.cancelled() and running.result()

    async def finish_all(self) -> int:
        """Resume all recorded deletions; return the number of unfinished ones.

        Raises:
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            rows = (await connection.execute(select(deletions).order_by(deletions.c.asked_at))).all()
            now = await connection.scalar(select(func.clock_timestamp()))
        left = 0
        for row in rows:
            if row.erased_at is not None and now - row.erased_at < _LINGER and not await self._alone():
                continue
            left += not await self.finish(_deletion(row))
        return left

    async def close(self) -> None:
        """Cancel running deletions; the next start resumes them."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, deletion: Deletion) -> bool:
        try:
            for step in self.steps[deletion.kind]:
                await step(deletion)
            await self._end(deletion)
        except (KuaimeiError, OSError) as error:
            why = error if isinstance(error, KuaimeiError) else error.strerror or type(error).__name__
            _log.warning(
                "the %s %s is not completely deleted yet; it will be retried: %s",
                *(deletion.kind, deletion.subject, why),
            )
            return False
        except Exception as error:  # unexpected, but it must be tried again
            _log.error(
                "unexpected error while deleting the %s %s; it will be retried: %s",
                *(deletion.kind, deletion.subject, type(error).__name__),
            )
            return False
        self.finished()
        return True

    @again_after_deadlock
    async def _end(self, deletion: Deletion) -> None:
        """Delete the record of a finished deletion, or keep it a while if something may still arrive."""
        alone = await self._alone()
        async with self._database.begin() as connection:
            if alone:
                await connection.execute(delete(deletions).where(_is(deletion)))
                return
            erased = await connection.execute(
                update(deletions)
                .where(_is(deletion) & deletions.c.erased_at.is_(None))
                .values(erased_at=func.now())
                .returning(deletions.c.subject)
            )
            if erased.first() is None:  # the second time, after the wait
                await connection.execute(delete(deletions).where(_is(deletion)))

    async def _session(self, connection: AsyncConnection, session: str) -> tuple[str, dict[str, Any], bool]:
        await _lock(connection, session)
        said = utterances.c
        owner = await connection.scalar(
            select(sessions.c.owner).where(sessions.c.id == session).with_for_update()
        )
        ids = await connection.scalars(select(said.id).where(said.session_id == session))
        parts = {"session": session, "utterances": list(ids)}
        await connection.execute(delete(sessions).where(sessions.c.id == session))
        return owner or LOCAL, parts, owner is not None

    async def _utterance(
        self, connection: AsyncConnection, utterance: str
    ) -> tuple[str, dict[str, Any], bool]:
        said = utterances.c
        parts: dict[str, Any] = {"utterances": [utterance]}
        whose = select(said.session_id, sessions.c.owner).join(sessions, sessions.c.id == said.session_id)
        row = (await connection.execute(whose.where(said.id == utterance))).first()
        if row is None:
            return LOCAL, parts, False
        await _lock(connection, row.session_id)
        await connection.execute(delete(utterances).where(said.id == utterance))
        return row.owner, {**parts, "session": row.session_id}, True

    async def _voice(self, connection: AsyncConnection, voice: str) -> tuple[str, dict[str, Any], bool]:
        gone = await connection.execute(delete(voices).where(voices.c.id == voice).returning(voices.c.owner))
        owner = gone.scalar()
        if owner is not None:
            await connection.execute(insert(erased_voices).values(id=voice).on_conflict_do_nothing())
        return owner or LOCAL, {}, owner is not None


_WAITING_JOBS = text(
    "delete from procrastinate_jobs where status <> 'doing' and args->>'subject' = any(:subjects)"
)


async def _lock(connection: AsyncConnection, session: str) -> None:
    """Block writes to the session until this transaction has ended."""
    await connection.execute(select(func.pg_advisory_xact_lock(SESSION_LOCK, func.hashtext(session))))


def _is(deletion: Deletion) -> Any:
    return (deletions.c.kind == deletion.kind) & (deletions.c.subject == deletion.subject)


def _deletion(row: Any, *, existed: bool = True) -> Deletion:
    return Deletion(
        kind=row.kind,
        subject=row.subject,
        owner=row.owner,
        session=row.parts.get("session", ""),
        utterances=tuple(row.parts.get("utterances", ())),
        asked_at=row.asked_at,
        existed=existed,
    )
