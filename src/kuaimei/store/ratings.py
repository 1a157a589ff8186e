"""Listeners' ratings of utterances, to which the weights of the scores are fitted."""

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
    """Ratings of one utterance, 1 to 5 each; None: the rater could not tell."""

    confidence: int | None
    stability: int | None
    affability: int | None


@dataclass(frozen=True, slots=True)
class Rating:
    """Ratings of one utterance by one rater.

    Attributes:
        rated_at: UTC.
    """

    utterance: str
    rater: str
    marks: RatingScores
    rated_at: datetime


@dataclass(frozen=True, slots=True)
class RatingProgress:
    """Progress of a rater.

    Attributes:
        rated: Utterances rated by this rater.
        total: Utterances that can be rated.
        ratings: Ratings by all raters.
    """

    rated: int
    total: int
    ratings: int


class Ratings:
    """Repository of the ratings of each owner's recordings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def next(self, owner: str, rater: str, *, skipped: Sequence[str] = ()) -> str | None:
        """Return the id of an utterance not yet rated by the rater; None if all are rated.

        The order is random but fixed for each rater: repeated calls return the same utterance.

        Args:
            owner: Owner of the recordings.
            rater: Name of the rater.
            skipped: Ids to be left out.

        Raises:
            StoreError: If the database is unavailable.
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
        """Record a rating; it replaces an earlier one by the same rater.

        Args:
            utterance: Id of the utterance.
            owner: Owner of the recording.
            rater: Name of the rater.
            marks: The ratings.

        Raises:
            NotFound: If the utterance was deleted.
            StoreError: If the database is unavailable.
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
            raise NotFound(f"there is no utterance {utterance}") from None

    async def tally(self, owner: str, rater: str) -> RatingProgress:
        """Return the progress of a rater.

        Raises:
            StoreError: If the database is unavailable.
        """
        one = _ratable(func.count(), owner)
        every = select(func.count()).select_from(ratings).where(ratings.c.owner == owner)
        async with self._database.begin() as connection:
            total = await connection.scalar(one) or 0
            rated = await connection.scalar(one.where(_rated(owner, rater))) or 0
            return RatingProgress(rated, total, await connection.scalar(every) or 0)

    async def all(self, owner: str) -> Sequence[Rating]:
        """Return all ratings, in the order in which the utterances were spoken.

        Raises:
            StoreError: If the database is unavailable.
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
        """Delete all ratings of the owner.

        Raises:
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            await connection.execute(delete(ratings).where(ratings.c.owner == owner))


def _ratable(what: Any, owner: str) -> Select[Any]:
    """Select the owner's scored user utterances with a recording: only these can be used for fitting."""
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
