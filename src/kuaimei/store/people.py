"""People, to whom everything kept belongs."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, get_args

import psycopg
from sqlalchemy import and_, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from kuaimei.errors import Conflict, NotFound, StoreError
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.ids import new_id
from kuaimei.store.tables import keys, people, sessions, voices
from kuaimei.store.utterance_record import LOCAL

__all__ = ["ROLES", "TELL", "Forgetting", "People", "Person", "Role"]

Role: TypeAlias = Literal["operator", "member"]
"""An operator sees metrics and how much there is of what; nobody sees what is somebody else's."""
ROLES: Final[tuple[Role, ...]] = get_args(Role)

Forgetting: TypeAlias = Literal["things", "all"]
"""things: what belongs to the person is being deleted; all: the person as well."""

_CHANNEL: Final = "kuaimei_people"
TELL: Final = select(func.pg_notify(_CHANNEL, ""))
"""Tells every process that listens that people or keys are others than before, once that is committed."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may come in.

    Attributes:
        id: ``local`` is whoever holds the machine's own key.
        created_at: UTC.
        notice_version: Of what was agreed to before the first recording; None: nothing yet.
        notice_accepted_at: UTC.
        forgetting: What of them is being deleted; None: nothing.
        forgetting_since: Of ``things`` those are deleted that were there then; UTC.
    """

    id: str
    name: str
    role: Role
    created_at: datetime
    notice_version: str | None = None
    notice_accepted_at: datetime | None = None
    forgetting: Forgetting | None = None
    forgetting_since: datetime | None = None


class People:
    """Whatever is changed here is heard at once by every process that listens (`listening`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @again_after_deadlock
    async def add(self, name: str, role: Role = "member") -> Person:
        """Somebody new.

        Raises:
            Conflict: If somebody has that name.
            StoreError: If the database is away.
        """
        made = insert(people).values(id=new_id("person"), name=name, role=role)
        query = made.on_conflict_do_nothing(index_elements=["name"]).returning(*people.c)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
            await connection.execute(TELL)
        if row is None:
            raise Conflict(f"there is somebody called {name!r} already; choose another name")
        return Person(**row._mapping)

    @again_after_deadlock
    async def ensure(self, name: str) -> Person:
        """Whoever has that name; made a member if nobody has.

        Raises:
            StoreError: If the database is away.
        """
        made = insert(people).values(id=new_id("person"), name=name, role="member")
        async with self._database.begin() as connection:
            await connection.execute(made.on_conflict_do_nothing())
            await connection.execute(TELL)
        return await self.named(name)

    async def all(self) -> Sequence[Person]:
        """Everybody, the oldest first.

        Raises:
            StoreError: If the database is away.
        """
        query = select(*people.c).order_by(people.c.created_at, people.c.id)
        async with self._database.begin() as connection:
            return [Person(**row._mapping) for row in await connection.execute(query)]

    async def get(self, person: str) -> Person:
        """One of them, by id.

        Raises:
            NotFound: If there is nobody of that id.
            StoreError: If the database is away.
        """
        return await self._one(people.c.id == person, person)

    async def named(self, name: str) -> Person:
        """One of them, by name.

        Raises:
            NotFound: If nobody has that name.
            StoreError: If the database is away.
        """
        return await self._one(people.c.name == name, name)

    async def change_role(self, person: str, role: Role) -> Person:
        """Make the person an operator, or a member.

        Raises:
            NotFound: If there is nobody of that id.
            StoreError: If the database is away.
        """
        return await self._change(person, role=role)

    async def accept_notice(self, person: str, version: str | None) -> Person:
        """The person agrees to the notice of that version; None: to none.

        Raises:
            NotFound: If there is nobody of that id.
            StoreError: If the database is away.
        """
        at = None if version is None else func.now()
        return await self._change(person, notice_version=version, notice_accepted_at=at)

    @again_after_deadlock
    async def begin_forgetting(self, person: str, what: Forgetting) -> Person:
        """Remember that what belongs to the person is to be deleted; with ``all`` no key of theirs lets in.

        What was begun before goes on as of then.

        Raises:
            NotFound: If there is nobody of that id.
            StoreError: If the database is away.
        """
        if what == "all":
            async with self._database.begin() as connection:
                await connection.execute(delete(keys).where(keys.c.person == person))
        since = case((people.c.forgetting == what, people.c.forgetting_since), else_=func.now())
        agreed = {"notice_version": None, "notice_accepted_at": None}
        return await self._change(person, forgetting=what, forgetting_since=since, **agreed)

    @again_after_deadlock
    async def end_forgetting(self, person: str) -> None:
        """All of it is done: the mark is taken off, or the person is gone.

        Raises:
            Conflict: If something of theirs is left.
            StoreError: If the database is away.
        """
        gone = and_(people.c.id == person, people.c.forgetting == "all", people.c.id != LOCAL)
        try:
            async with self._database.begin() as connection:
                await connection.execute(delete(people).where(gone))
                await connection.execute(
                    update(people).where(people.c.id == person).values(forgetting=None, forgetting_since=None)
                )
                await connection.execute(TELL)
        except IntegrityError:
            raise Conflict("something was kept for this person meanwhile; forget them again") from None

    @again_after_deadlock
    async def remove(self, person: str) -> None:
        """The person and their keys, if nothing is kept for them.

        Raises:
            NotFound: If there is nobody of that id.
            Conflict: If something is kept for them.
            StoreError: If the database is away.
        """
        await self.get(person)
        if person == LOCAL:
            raise Conflict("the person of the machine's own key stays")
        try:
            async with self._database.begin() as connection:
                await connection.execute(delete(people).where(people.c.id == person))
                await connection.execute(TELL)
        except IntegrityError:
            raise Conflict("sessions or voices are kept for this person: use forget") from None

    async def sessions_of(self, person: str, until: datetime | None = None) -> Sequence[str]:
        """Ids of the person's sessions, the oldest first.

        Args:
            person: Id.
            until: Only those that had begun then; None: all.

        Raises:
            StoreError: If the database is away.
        """
        query = select(sessions.c.id).where(sessions.c.owner == person).order_by(sessions.c.started_at)
        if until is not None:
            query = query.where(sessions.c.started_at <= until)
        async with self._database.begin() as connection:
            return list(await connection.scalars(query))

    async def counts(self) -> Sequence[tuple[str, int, int, int]]:
        """For each person the id, and how many sessions, voices and keys that let in there are.

        Raises:
            StoreError: If the database is away.
        """

        def number(table: Any, column: Any) -> Any:
            return select(func.count()).where(column == people.c.id).select_from(table).scalar_subquery()

        valid = select(func.count()).where(keys.c.person == people.c.id, keys.c.revoked_at.is_(None))
        query = select(
            people.c.id,
            number(sessions, sessions.c.owner),
            number(voices, voices.c.owner),
            valid.scalar_subquery(),
        ).order_by(people.c.created_at, people.c.id)
        async with self._database.begin() as connection:
            return [(row[0], row[1], row[2], row[3]) for row in await connection.execute(query)]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Callable[[float], Awaitable[None]]]:
        """Hear of changes, also of other processes; by a connection of its own.

        Yields:
            Waits until something changes, or for so many seconds.

        Raises:
            StoreError: If the database is away.
        """
        try:
            connection = await self._database.connect()
            try:
                await connection.set_autocommit(True)
                await connection.execute(f"listen {_CHANNEL}")

                async def changed(timeout_s: float) -> None:
                    async for _ in connection.notifies(timeout=timeout_s, stop_after=1):
                        pass

                yield changed
            finally:
                await connection.close()
        except (psycopg.Error, OSError) as error:
            raise StoreError(f"the database does not tell of changes: {type(error).__name__}") from error

    async def _one(self, which: Any, named: str) -> Person:
        async with self._database.begin() as connection:
            row = (await connection.execute(select(*people.c).where(which))).first()
        if row is None:
            raise NotFound(f"nobody is called {named[:80]!r}; see: kuaimei people list")
        return Person(**row._mapping)

    @again_after_deadlock
    async def _change(self, person: str, **columns: Any) -> Person:
        query = update(people).where(people.c.id == person).values(**columns).returning(*people.c)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                raise NotFound(f"nobody has the id {person[:80]}")
            await connection.execute(TELL)
            return Person(**row._mapping)
