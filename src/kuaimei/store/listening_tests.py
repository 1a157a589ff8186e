"""Blind listening tests: which of two clips a listener prefers.

A trial is made on request, and becomes a judgement when the listener has chosen. It compares the tiers of a
reply or two voices, and is deleted with them.
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
"""tiers: HQ rendering and fast tier of one reply; voices: one sentence in two voices."""

Choice: TypeAlias = Literal["a", "b", "same"]

_FORGOTTEN: Final = text("interval '1 hour'")
"""Age at which a trial without a judgement is deleted."""
_CLONED: Final = "voice_"


@dataclass(frozen=True, slots=True)
class Trial:
    """Comparison of two clips.

    Attributes:
        first: ``hq``, or a voice.
        second: ``fast``, or another voice; of a pair of voices always the later in the alphabet.
        swapped: Clip A is the second.
        utterance_id: The reply, if tiers are compared.
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
        """System or voice of clip A."""
        return self.second if self.swapped else self.first

    @property
    def b(self) -> str:
        """System or voice of clip B."""
        return self.first if self.swapped else self.second

    @property
    def preferred(self) -> str | None:
        """Preferred system or voice; None: neither, or not judged yet."""
        return {"a": self.a, "b": self.b}.get(self.choice or "")


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of the judgements about one pair."""

    kind: Kind
    first: str
    second: str
    first_preferred: int
    second_preferred: int
    same: int

    @property
    def judged(self) -> int:
        """Number of judgements."""
        return self.first_preferred + self.second_preferred + self.same


class ListeningTests:
    """Repository of trials and judgements of each owner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def comparable_reply(self, owner: str) -> str | None:
        """Return a reply with both tiers complete, chosen at random among those judged least often.

        Raises:
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            found: str | None = await connection.scalar(_comparable(owner))
            return found

    @again_after_deadlock
    async def begin(
        self, owner: str, kind: Kind, first: str, second: str, *, swapped: bool, utterance: str | None = None
    ) -> Trial:
        """Make a trial; trials without a judgement for an hour are deleted.

        Args:
            owner: Id of the person.
            kind: What is compared.
            first: ``hq``, or a voice.
            second: ``fast``, or another voice.
            swapped: Clip A is the second.
            utterance: The reply, if tiers are compared.

        Raises:
            NotFound: If the reply or a voice was deleted.
            StoreError: If the database is unavailable.
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
            raise NotFound("one of the clips was deleted meanwhile; request the next comparison") from None

    async def trial(self, trial: str, owner: str) -> Trial:
        """Return a trial of this owner.

        Raises:
            NotFound: If there is none, or another person owns it.
            StoreError: If the database is unavailable.
        """
        table = preferences
        async with self._database.begin() as connection:
            found = await connection.execute(
                select(*_TRIAL).where((table.c.id == trial) & (table.c.owner == owner))
            )
            row = found.first()
        if row is None:
            raise NotFound(f"there is no comparison {trial[:80]}: its clips were deleted, or it has expired")
        return Trial(**row._mapping)

    @again_after_deadlock
    async def judge(self, trial: str, owner: str, choice: Choice, remark: str = "") -> Trial | None:
        """Record the choice; None if the trial is judged already: the first judgement counts.

        Args:
            trial: Id of the trial.
            owner: Id of the person who owns it.
            choice: The preferred clip, or ``same``.
            remark: A comment of the listener.

        Raises:
            NotFound: If there is no such trial.
            StoreError: If the database is unavailable.
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
        """Return all judgements of the owner, oldest first.

        Raises:
            StoreError: If the database is unavailable.
        """
        table = preferences
        query = select(*_TRIAL).where((table.c.owner == owner) & table.c.choice.is_not(None))
        query = query.order_by(table.c.judged_at, table.c.id)
        return [Trial(**row._mapping) async for row in self._database.every(query)]

    async def tallies(self, owner: str) -> Sequence[Tally]:
        """Count judgements by pair: tiers before voices, the pair judged most often first.

        Raises:
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            return [Tally(**row._mapping) for row in await connection.execute(_tallies(owner))]

    @again_after_deadlock
    async def forget(self, owner: str) -> None:
        """Delete all trials and judgements of the owner.

        Raises:
            StoreError: If the database is unavailable.
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
            # The recording of an interrupted reply ends at the interruption, its HQ rendering does not.
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
