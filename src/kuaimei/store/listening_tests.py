"""What listeners preferred of two clips, not knowing which was which.

A trial is made when somebody asks for one, and is a judgement once they have chosen. It is about a reply
or about voices, and goes with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import Select, and_, case, delete, func, literal, not_, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from kuaimei.errors import NotFound
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.ids import new_id
from kuaimei.store.tables import preferences, renderings, sessions, utterances

__all__ = ["Choice", "Kind", "ListeningTests", "Tally", "Trial"]

Kind: TypeAlias = Literal["tiers", "voices"]
"""tiers: one reply, rendered beautifully and fast; voices: one sentence in two voices."""

Choice: TypeAlias = Literal["a", "b", "same"]

_FORGOTTEN: Final = text("interval '1 hour'")
"""After this a trial that nobody judged is gone."""
_CLONED: Final = "voice_"


@dataclass(frozen=True, slots=True)
class Trial:
    """Two clips, of which one may be preferred.

    Attributes:
        first: ``hq``, or a voice.
        second: ``fast``, or another voice; of a pair of voices always the later in the alphabet.
        swapped: Clip A is the second.
        utterance_id: The reply, if it is about tiers.
        choice: None: not judged yet.
        judged_at: UTC.
    """

    id: str
    owner: str
    kind: Kind
    first: str
    second: str
    swapped: bool
    utterance_id: str | None
    choice: Choice | None
    remark: str
    judged_at: datetime | None

    @property
    def a(self) -> str:
        """What clip A is."""
        return self.second if self.swapped else self.first

    @property
    def b(self) -> str:
        """What clip B is."""
        return self.first if self.swapped else self.second

    @property
    def preferred(self) -> str | None:
        """What was preferred; None: neither, or nothing yet."""
        return {"a": self.a, "b": self.b}.get(self.choice or "")


@dataclass(frozen=True, slots=True)
class Tally:
    """All judgements about one pair."""

    kind: Kind
    first: str
    second: str
    first_preferred: int
    second_preferred: int
    same: int

    @property
    def judged(self) -> int:
        """How many there are."""
        return self.first_preferred + self.second_preferred + self.same


class ListeningTests:
    """Trials and judgements of each owner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def comparable_reply(self, owner: str) -> str | None:
        """A reply of which both tiers are there whole; of those judged least often one by chance.

        Raises:
            StoreError: If the database is away.
        """
        async with self._database.begin() as connection:
            found: str | None = await connection.scalar(_comparable(owner))
            return found

    @again_after_deadlock
    async def begin(
        self, owner: str, kind: Kind, first: str, second: str, *, swapped: bool, utterance: str | None = None
    ) -> Trial:
        """A new trial; those that nobody judged for an hour are forgotten.

        Raises:
            NotFound: If the reply or a voice is gone.
            StoreError: If the database is away.
        """
        if kind == "voices" and first > second:
            first, second, swapped = second, first, not swapped
        table = preferences
        values = {
            "id": new_id("trial"),
            "owner": owner,
            "kind": kind,
            "first": first,
            "second": second,
            "swapped": swapped,
            "utterance_id": utterance,
            "first_voice": first if first.startswith(_CLONED) else None,
            "second_voice": second if second.startswith(_CLONED) else None,
        }
        stale = and_(table.c.choice.is_(None), table.c.created_at < func.now() - _FORGOTTEN)
        try:
            async with self._database.begin() as connection:
                await connection.execute(delete(table).where(stale))
                made = await connection.execute(insert(table).values(**values).returning(*_TRIAL))
                return Trial(**made.one()._mapping)
        except IntegrityError:
            raise NotFound("what was to be compared was deleted meanwhile; ask for the next") from None

    async def trial(self, trial: str, owner: str) -> Trial:
        """One of this owner's.

        Raises:
            NotFound: If there is none, or it is somebody else's.
            StoreError: If the database is away.
        """
        table = preferences
        async with self._database.begin() as connection:
            found = await connection.execute(
                select(*_TRIAL).where((table.c.id == trial) & (table.c.owner == owner))
            )
            row = found.first()
        if row is None:
            raise NotFound(f"no comparison {trial[:80]} is kept: its clips were deleted, or it was forgotten")
        return Trial(**row._mapping)

    @again_after_deadlock
    async def judge(self, trial: str, owner: str, choice: Choice, remark: str = "") -> Trial | None:
        """Note what was chosen; None: that was done already, and counts.

        Raises:
            NotFound: If there is no such trial.
            StoreError: If the database is away.
        """
        table = preferences
        async with self._database.begin() as connection:
            judged = await connection.execute(
                update(table)
                .where((table.c.id == trial) & (table.c.owner == owner) & table.c.choice.is_(None))
                .values(choice=choice, remark=remark.strip(), judged_at=func.now())
                .returning(*_TRIAL)
            )
            row = judged.first()
        if row is None:
            await self.trial(trial, owner)
            return None
        return Trial(**row._mapping)

    async def judged(self, owner: str) -> Sequence[Trial]:
        """All judgements, oldest first.

        Raises:
            StoreError: If the database is away.
        """
        table = preferences
        query = select(*_TRIAL).where((table.c.owner == owner) & table.c.choice.is_not(None))
        query = query.order_by(table.c.judged_at, table.c.id)
        return [Trial(**row._mapping) async for row in self._database.every(query)]

    async def tallies(self, owner: str) -> Sequence[Tally]:
        """Judgements by pair: tiers before voices, within them the pair judged most often first.

        Raises:
            StoreError: If the database is away.
        """
        async with self._database.begin() as connection:
            return [Tally(**row._mapping) for row in await connection.execute(_tallies(owner))]

    @again_after_deadlock
    async def forget(self, owner: str) -> None:
        """All trials and judgements of the owner are gone.

        Raises:
            StoreError: If the database is away.
        """
        async with self._database.begin() as connection:
            await connection.execute(delete(preferences).where(preferences.c.owner == owner))


_TRIAL = [
    preferences.c[name]
    for name in (
        *("id", "owner", "kind", "first", "second", "swapped", "utterance_id"),
        *("choice", "remark", "judged_at"),
    )
]


def _comparable(owner: str) -> Select[Any]:
    said, hq, table = utterances, renderings, preferences
    judged = (
        select(func.count())
        .where((table.c.utterance_id == said.c.id) & table.c.choice.is_not(None))
        .scalar_subquery()
    )
    return (
        select(said.c.id)
        .join(hq, hq.c.utterance_id == said.c.id)
        .join(sessions, sessions.c.id == said.c.session_id)
        .where(
            sessions.c.owner == owner,
            hq.c.state == "ready",
            said.c.bytes.is_not(None),
            # An interrupted reply ends where its listener spoke, its second rendering does not.
            not_(said.c.interrupted),
        )
        .order_by(judged, func.random())
        .limit(1)
    )


def _tallies(owner: str) -> Select[Any]:
    table = preferences
    first = or_(
        and_(table.c.choice == "a", not_(table.c.swapped)), and_(table.c.choice == "b", table.c.swapped)
    )
    same = table.c.choice == "same"
    one = literal(1)
    return (
        select(
            table.c.kind,
            table.c.first,
            table.c.second,
            func.count(case((first, one))).label("first_preferred"),
            func.count(case((and_(not_(first), not_(same)), one))).label("second_preferred"),
            func.count(case((same, one))).label("same"),
        )
        .where((table.c.owner == owner) & table.c.choice.is_not(None))
        .group_by(table.c.kind, table.c.first, table.c.second)
        .order_by(table.c.kind, func.count().desc(), table.c.first, table.c.second)
    )
