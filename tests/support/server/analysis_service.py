"""How people spoke and how that was rated, in memory."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from kuaimei.errors import NotFound
from kuaimei.store.analyses import Analysis
from kuaimei.store.ratings import Rating, RatingProgress, RatingScores
from kuaimei.store.score_history import NEWEST, Cohort, ScoreCursor, ScorePoint

__all__ = ["MemoryAnalyses", "MemoryPeers", "MemoryRatings"]


@dataclass
class MemoryAnalyses:
    """What a test puts in, by utterance."""

    made: dict[str, Analysis] = field(default_factory=dict)

    def put(self, session: str, analysis: Analysis) -> None:
        self.made[analysis.utterance] = analysis

    async def get(self, utterance: str) -> Analysis:
        if utterance not in self.made:
            raise NotFound(f"utterance {utterance} has not been analysed yet")
        return self.made[utterance]

    async def of(self, ids: Collection[str], *, contours: bool = False) -> Sequence[Analysis]:
        found = [self.made[utterance] for utterance in ids if utterance in self.made]
        return found if contours else [replace(one, contours=None) for one in found]


@dataclass
class MemoryPeers:
    """Everybody's points are everybody's."""

    points: list[ScorePoint] = field(default_factory=list)

    async def newest(
        self, group: Cohort, *, before: ScoreCursor | None = None, limit: int = NEWEST
    ) -> Sequence[ScorePoint]:
        found = [
            point
            for point in self.points
            if before is None or (point.moment.at, point.moment.utterance) < (before.at, before.utterance)
        ]
        return found[-limit:] if group.speaker == "user" else []


@dataclass
class MemoryRatings:
    """Of the utterances that a test names."""

    utterances: list[str] = field(default_factory=list)
    given: dict[tuple[str, str], Rating] = field(default_factory=dict)

    async def next(self, owner: str, rater: str, *, skipped: Sequence[str] = ()) -> str | None:
        left = (u for u in self.utterances if (u, rater) not in self.given and u not in skipped)
        return next(left, None)

    async def rate(self, utterance: str, owner: str, rater: str, marks: RatingScores) -> None:
        self.given[utterance, rater] = Rating(utterance, rater, marks, datetime.now(UTC))

    async def tally(self, owner: str, rater: str) -> RatingProgress:
        rated = sum(who == rater for _, who in self.given)
        return RatingProgress(rated, len(self.utterances), len(self.given))

    async def all(self, owner: str) -> Sequence[Rating]:
        return list(self.given.values())

    async def forget(self, owner: str) -> None:
        self.given.clear()
