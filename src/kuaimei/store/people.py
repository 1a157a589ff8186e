"""People, who own everything that is stored."""

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
"""An operator also sees metrics and counts; no role sees the data of another person."""
ROLES: Final[tuple[Role, ...]] = get_args(Role)

Forgetting: TypeAlias = Literal["things", "all"]
"""things: the person's data is being deleted; all: the person as well."""

_CHANNEL: Final = "kuaimei_people"
TELL: Final = select(func.pg_notify(_CHANNEL, ""))
"""Notifies every listening process, on commit, that people or keys have changed."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person with access to the server.

    Attributes:
        id: ``local`` is the person of the machine's own key.
        created_at: UTC.
        notice_version: Version of the notice accepted before the first recording; None: none yet.
        notice_accepted_at: UTC.
        forgetting: What is being deleted of the person; None: nothing.
        forgetting_since: With ``things``, data that existed at this time is deleted; UTC.
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
    """Repository of people; every change notifies all processes that listen (`listening`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @again_after_deadlock
    async def add(self, name: str, role: Role = "member") -> Person:
        """Add a person.

        Raises:
            Conflict: If the name is taken.
            StoreError: If the database is unavailable.
        """
        made = insert(people).values(id=new_id("person"), name=name, role=role)
        query = made.on_conflict_do_nothing(index_elements=["name"]).returning(*people.c)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
            await connection.execute(TELL)
        if row is None:
            raise Conflict(f"the name {name!r} is already taken; choose another name")
        return Person(**row._mapping)

    @again_after_deadlock
    async def ensure(self, name: str) -> Person:
        """Return the person with that name; a member is added if there is none.

        Raises:
            StoreError: If the database is unavailable.
        """
        made = insert(people).values(id=new_id("person"), name=name, role="member")
        async with self._database.begin() as connection:
            await connection.execute(made.on_conflict_do_nothing())
            await connection.execute(TELL)
        return await self.named(name)

    async def all(self) -> Sequence[Person]:
        """Return all people, oldest first.

        Raises:
            StoreError: If the database is unavailable.
        """
        query = select(*people.c).order_by(people.c.created_at, people.c.id)
        async with self._database.begin() as connection:
            return [Person(**row._mapping) for row in await connection.execute(query)]

    async def get(self, person: str) -> Person:
        """Return a person by id.

        Raises:
            NotFound: If there is no person with that id.
            StoreError: If the database is unavailable.
        """
        return await self._one(people.c.id == person, person)

    async def named(self, name: str) -> Person:
        """Return a person by name.

        Raises:
            NotFound: If there is no person with that name.
            StoreError: If the database is unavailable.
        """
        return await self._one(people.c.name == name, name)

    async def change_role(self, person: str, role: Role) -> Person:
        """Change the role of a person.

        Raises:
            NotFound: If there is no person with that id.
            StoreError: If the database is unavailable.
        """
        return await self._change(person, role=role)

    async def accept_notice(self, person: str, version: str | None) -> Person:
        """Record the version of the notice that the person accepts; None: none any more.

        Raises:
            NotFound: If there is no person with that id.
            StoreError: If the database is unavailable.
        """
        at = None if version is None else func.now()
        return await self._change(person, notice_version=version, notice_accepted_at=at)

    @again_after_deadlock
    async def begin_forgetting(self, person: str, what: Forgetting) -> Person:
        """Mark the person's data for deletion; with ``all`` the person's keys are deleted at once.

        A deletion of the same kind that is in progress keeps its time.

        Raises:
            NotFound: If there is no person with that id.
            StoreError: If the database is unavailable.
        """
        if what == "all":
            async with self._database.begin() as connection:
                await connection.execute(delete(keys).where(keys.c.person == person))
        since = case((people.c.forgetting == what, people.c.forgetting_since), else_=func.now())
        agreed = {"notice_version": None, "notice_accepted_at": None}
        return await self._change(person, forgetting=what, forgetting_since=since, **agreed)

    @again_after_deadlock
    async def end_forgetting(self, person: str) -> None:
        """Finish a deletion: remove the mark, or with ``all`` the person.

        Raises:
            Conflict: If data of the person is left.
            StoreError: If the database is unavailable.
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
            raise Conflict("new data was stored for this person meanwhile; forget them again") from None

    @again_after_deadlock
    async def remove(self, person: str) -> None:
        """Delete the person and the person's keys, if no other data is stored.

        Raises:
            NotFound: If there is no person with that id.
            Conflict: If the person owns sessions or voices, or is that of the machine's own key.
            StoreError: If the database is unavailable.
        """
        await self.get(person)
        if person == LOCAL:
            raise Conflict("the person of the machine's own key cannot be removed")
        try:
            async with self._database.begin() as connection:
                await connection.execute(delete(people).where(people.c.id == person))
                await connection.execute(TELL)
        except IntegrityError:
            raise Conflict("this person has stored sessions or voices: use forget") from None

    async def sessions_of(self, person: str, until: datetime | None = None) -> Sequence[str]:
        """Return ids of the person's sessions, oldest first.

        Args:
            person: Id of the person.
            until: Only sessions that had begun at that time; None: all.

        Raises:
            StoreError: If the database is unavailable.
        """
        query = select(sessions.c.id).where(sessions.c.owner == person).order_by(sessions.c.started_at)
        if until is not None:
            query = query.where(sessions.c.started_at <= until)
        async with self._database.begin() as connection:
            return list(await connection.scalars(query))

    async def counts(self) -> Sequence[tuple[str, int, int, int]]:
        """Return for each person the id and the numbers of sessions, voices and valid keys.

        Raises:
            StoreError: If the database is unavailable.
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
        """Listen for changes, including those by other processes, on a separate connection.

        Yields:
            Waits until something changes, or for the given number of seconds.

        Raises:
            StoreError: If the database is unavailable.
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
            raise StoreError(f"the database sends no change notifications: {type(error).__name__}") from error

    async def _one(self, which: Any, named: str) -> Person:
        async with self._database.begin() as connection:
            row = (await connection.execute(select(*people.c).where(which))).first()
        if row is None:
            raise NotFound(f"there is no person called {named[:80]!r}; see: kuaimei people list")
        return Person(**row._mapping)

    @again_after_deadlock
    async def _change(self, person: str, **columns: Any) -> Person:
        query = update(people).where(people.c.id == person).values(**columns).returning(*people.c)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                raise NotFound(f"there is no person with the id {person[:80]}")
            await connection.execute(TELL)
            return Person(**row._mapping)
