"""Score history: earlier scores of the same person or voice, used as a baseline.

Scores of the user are compared with all of the same person, which the client names (``person`` of the
session); if it does not, with those of the same session. Scores of replies are compared with all replies in
the same voice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Float, Select, or_, select, tuple_

from kuaimei.store.database import Database
from kuaimei.store.tables import analyses, sessions, utterances
from kuaimei.store.utterance_record import Role

__all__ = ["NEWEST", "Cohort", "ScoreCursor", "ScoreHistory", "ScorePoint"]

NEWEST: Final = 200
"""Default number of earlier scores: more of them do not improve the baseline."""
_SCORES: Final = ("confidence", "stability", "affability")


@dataclass(frozen=True, slots=True)
class Cohort:
    """Utterances that are compared with each other.

    Attributes:
        session: The session; the user's utterances are limited to it if there is no person.
        person: The speaker of the user's utterances, in any session.
        voice: Voice of the replies.
    """

    owner: str
    session: str
    person: str
    speaker: Role
    voice: str


@dataclass(frozen=True, slots=True)
class ScoreCursor:
    """Position of an utterance in time; the id distinguishes utterances of the same instant."""

    at: datetime
    utterance: str


@dataclass(frozen=True, slots=True)
class ScorePoint:
    """The scores of one utterance."""

    moment: ScoreCursor
    scores: Mapping[str, float]


class ScoreHistory:
    """Reads earlier scores from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(
        self, group: Cohort, *, before: ScoreCursor | None = None, limit: int = NEWEST
    ) -> Sequence[ScorePoint]:
        """Return the newest scores of a cohort, in the order in which they were spoken.

        Args:
            group: The cohort.
            before: Only utterances spoken before this one.
            limit: Maximum number.

        Raises:
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            found = (await connection.execute(_newest(group, before, limit))).all()
        return [
            ScorePoint(ScoreCursor(row.started_at, row.id), {name: row._mapping[name] for name in _SCORES})
            for row in reversed(found)
        ]


def _newest(group: Cohort, before: ScoreCursor | None, limit: int) -> Select[Any]:
    said = utterances.c
    which = (
        select(said.id, said.started_at)
        .join(analyses, analyses.c.utterance_id == said.id)
        .join(sessions, sessions.c.id == said.session_id)
        .where(
            analyses.c.state == "scored",
            said.speaker == group.speaker,
            sessions.c.owner == group.owner,
        )
        .order_by(said.started_at.desc(), said.id.desc())
        .limit(limit)
    )
    if group.speaker == "assistant":
        which = which.where(said.voice == group.voice)
    else:
        here = said.session_id == group.session
        same = sessions.c.client["person"].astext == group.person
        which = which.where(or_(here, same) if group.person else here)
    if before is not None:
        which = which.where(tuple_(said.started_at, said.id) < (before.at, before.utterance))
    # Scores are only read for the selected utterances.
    found = which.subquery()
    scores = (analyses.c.scores[name]["value"].astext.cast(Float).label(name) for name in _SCORES)
    return (
        select(found.c.id, found.c.started_at, *scores)
        .join(analyses, analyses.c.utterance_id == found.c.id)
        .order_by(found.c.started_at.desc(), found.c.id.desc())
    )
