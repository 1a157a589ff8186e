"""API keys of people: only digests are stored, never a key itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import and_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from kuaimei.errors import Conflict, NotFound
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.ids import new_id
from kuaimei.store.people import TELL, Person
from kuaimei.store.tables import keys, people

__all__ = ["Key", "Keys", "ValidKey"]

_COARSE: Final = text("interval '10 minutes'")
"""Resolution of the last use of a key: a finer one would record the user's daily activity."""
_KEY: Final = [column for column in keys.c if column.name != "sha256"]


@dataclass(frozen=True, slots=True)
class Key:
    """Metadata of a key, without the key.

    Attributes:
        prefix: First characters of the key, to recognize it.
        created_at: UTC, as the other times.
        last_used_at: Rounded down to ten minutes; None: never.
        revoked_at: None: the key is valid.
    """

    id: str
    person: str
    label: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class ValidKey:
    """A valid key.

    Attributes:
        sha256: Digest of the key, in hexadecimal.
    """

    key: str
    sha256: str
    person: Person


class Keys:
    """Keys of all people; every change notifies `kuaimei.store.people.People.listening`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @again_after_deadlock
    async def add(self, person: str, *, sha256: str, prefix: str, label: str = "") -> Key:
        """Add a key with the given digest.

        Args:
            person: Id of the person.
            sha256: Digest of the key, in hexadecimal.
            prefix: First characters of the key.
            label: Name of the key.

        Raises:
            NotFound: If there is no person with that id.
            StoreError: If the database is unavailable.
        """
        given = {"person": person, "sha256": sha256, "prefix": prefix, "label": label}
        query = insert(keys).values(id=new_id("key"), **given).returning(*_KEY)
        try:
            async with self._database.begin() as connection:
                key = Key(**(await connection.execute(query)).one()._mapping)
                await connection.execute(TELL)
                return key
        except IntegrityError:
            raise NotFound(f"there is no person with the id {person[:80]}") from None

    async def all(self, person: str | None = None) -> Sequence[Key]:
        """Return the keys of a person, or of all people, including revoked ones, oldest first.

        Raises:
            StoreError: If the database is unavailable.
        """
        query = select(*_KEY).order_by(keys.c.created_at, keys.c.id)
        if person is not None:
            query = query.where(keys.c.person == person)
        async with self._database.begin() as connection:
            return [Key(**row._mapping) for row in await connection.execute(query)]

    @again_after_deadlock
    async def revoke(self, named: str) -> Key:
        """Revoke the key with that id or prefix.

        Raises:
            NotFound: If there is none.
            Conflict: If several valid keys have the prefix.
            StoreError: If the database is unavailable.
        """
        valid = keys.c.revoked_at.is_(None)
        which = or_(keys.c.id == named, and_(keys.c.prefix == named, valid))
        async with self._database.begin() as connection:
            found = (await connection.execute(select(*_KEY).where(which))).all()
            if not found:
                raise NotFound(f"there is no key {named[:80]!r}; see: kuaimei people keys NAME")
            if len(found) > 1:
                raise Conflict(f"{len(found)} keys begin with {named}: use an id")
            query = update(keys).where(keys.c.id == found[0].id, valid).values(revoked_at=func.now())
            await connection.execute(query)
            await connection.execute(TELL)
            row = (await connection.execute(select(*_KEY).where(keys.c.id == found[0].id))).one()
            return Key(**row._mapping)

    async def valid(self) -> Sequence[ValidKey]:
        """Return all valid keys, except those of people who are being deleted.

        Raises:
            StoreError: If the database is unavailable.
        """
        lets_in = and_(keys.c.revoked_at.is_(None), people.c.forgetting.is_distinct_from("all"))
        query = select(keys.c.id.label("key_id"), keys.c.sha256, *people.c).join(people).where(lets_in)
        async with self._database.begin() as connection:
            found = await connection.execute(query)
            return [
                ValidKey(row.key_id, row.sha256, Person(**{c.name: row._mapping[c.name] for c in people.c}))
                for row in found
            ]

    @again_after_deadlock
    async def note_use(self, used: Sequence[str]) -> None:
        """Record that the keys with these ids were just used.

        Raises:
            StoreError: If the database is unavailable.
        """
        stale = or_(keys.c.last_used_at.is_(None), keys.c.last_used_at < func.now() - _COARSE)
        coarse = func.date_bin(_COARSE, func.now(), text("timestamptz '2000-01-01 00:00:00Z'"))
        async with self._database.begin() as connection:
            await connection.execute(
                update(keys).where(keys.c.id.in_(used), stale).values(last_used_at=coarse)
            )
