"""How listeners rated what people said: what the weights of the scores are fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from kuaimei.errors import NotFound
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.tables import analyses, ratings, sessions, utterances

__all__ = ["Rating", "RatingProgress", "RatingScores", "Ratings"]

_WHOLE: Final = ("confidence", "stability", "affability")


@dataclass(frozen=True, slots=True)
class RatingScores:
    """1 to 5 each; None: the rater could not tell."""

    confidence: int | None
    stability: int | None
    affability: int | None


@dataclass(frozen=True, slots=True)
class Rating:
    """What one rater said of one utterance.

    Attributes:
        rated_at: UTC.
    """

    utterance: str
    rater: str
    marks: RatingScores
    rated_at: datetime


@dataclass(frozen=True, slots=True)
class RatingProgress:
    """How far a rater is.

    Attributes:
        rated: By this rater.
        total: Utterances that can be rated.
        ratings: By all raters.
    """

    rated: int
    total: int
    ratings: int


class Ratings:
    """Of each owner's recordings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def next(self, owner: str, rater: str, *, skipped: Sequence[str] = ()) -> str | None:
        """Id of an utterance that the rater has not rated; None: all are.

        Which one, chance has decided once for each rater: asked again it is the same.

        Args:
            owner: Whose recordings.
            rater: Who rates.
            skipped: Not these.

        Raises:
            StoreError: If the database is away.
        """
        order = func.md5(func.concat(utterances.c.id, ":", rater)), utterances.c.id
        query = _ratable(utterances.c.id, owner).where(~_rated(owner, rater))
        if skipped:
            query = query.where(utterances.c.id.not_in(skipped))
        async with self._database.begin() as connection:
            found: str | None = await connection.scalar(query.order_by(*order).limit(1))
            return found

    @again_after_deadlock
    async def rate(self, utterance: str, owner: str, rater: str, marks: RatingScores) -> None:
        """Note what the rater says, in the place of what the same one said before.

        Raises:
            NotFound: If the utterance is gone.
            StoreError: If the database is away.
        """
        table = ratings
        values = {name: getattr(marks, name) for name in _WHOLE} | {"rated_at": func.now()}
        made = insert(table).values(utterance_id=utterance, owner=owner, rater=rater, **values)
        try:
            async with self._database.begin() as connection:
                await connection.execute(
                    made.on_conflict_do_update(index_elements=["utterance_id", "owner", "rater"], set_=values)
                )
        except IntegrityError:
            raise NotFound(f"no utterance {utterance} is kept") from None

    async def tally(self, owner: str, rater: str) -> RatingProgress:
        """How far the rater is.

        Raises:
            StoreError: If the database is away.
        """
        one = _ratable(func.count(), owner)
        every = select(func.count()).select_from(ratings).where(ratings.c.owner == owner)
        async with self._database.begin() as connection:
            total = await connection.scalar(one) or 0
            rated = await connection.scalar(one.where(_rated(owner, rater))) or 0
            return RatingProgress(rated, total, await connection.scalar(every) or 0)

    async def all(self, owner: str) -> Sequence[Rating]:
        """Every rating, in the order in which the utterances were said.

        Raises:
            StoreError: If the database is away.
        """
        table = ratings
        query = (
            select(table)
            .join(utterances, utterances.c.id == table.c.utterance_id)
            .where(table.c.owner == owner)
            .order_by(utterances.c.started_at, table.c.utterance_id, table.c.rater)
        )
        return [
            Rating(
                row.utterance_id,
                row.rater,
                RatingScores(row.confidence, row.stability, row.affability),
                row.rated_at,
            )
            async for row in self._database.every(query)
        ]

    @again_after_deadlock
    async def forget(self, owner: str) -> None:
        """All ratings of the owner are gone.

        Raises:
            StoreError: If the database is away.
        """
        async with self._database.begin() as connection:
            await connection.execute(delete(ratings).where(ratings.c.owner == owner))


def _ratable(what: Any, owner: str) -> Select[Any]:
    """What the owner's users said and is scored: of anything else there is nothing to be fitted."""
    return (
        select(what)
        .select_from(utterances)
        .join(analyses, analyses.c.utterance_id == utterances.c.id)
        .join(sessions, sessions.c.id == utterances.c.session_id)
        .where(
            sessions.c.owner == owner,
            utterances.c.speaker == "user",
            utterances.c.bytes.is_not(None),
            analyses.c.state == "scored",
        )
    )


def _rated(owner: str, rater: str) -> ColumnElement[bool]:
    table = ratings
    return (
        select(table.c.utterance_id)
        .where(and_(table.c.utterance_id == utterances.c.id, table.c.owner == owner, table.c.rater == rater))
        .exists()
    )
