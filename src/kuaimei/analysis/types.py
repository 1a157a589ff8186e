"""Types of an analysis: scores, contributions of the features, and reasons for a missing score."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SCORES", "Contribution", "Explained", "ProsodyScore", "Reason", "RelativeScore", "Score"]

Score: TypeAlias = Literal["confidence", "stability", "affability"]

SCORES: Final[tuple[Score, ...]] = get_args(Score)

Reason: TypeAlias = Literal[
    "no_audio", "not_speech", "too_short", "too_long", "too_noisy", "no_voice", "unreadable"
]
"""Reason why an utterance has no scores."""


class ProsodyScore(BaseModel):
    """Scores of an utterance, 0 to 1 each, and the features they were computed from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence: float = Field(ge=0, le=1)
    stability: float = Field(ge=0, le=1)
    affability: float = Field(ge=0, le=1)
    features: dict[str, float]


@dataclass(frozen=True, slots=True)
class Contribution:
    """Contribution of one feature to a score.

    Attributes:
        feature: Name in `kuaimei.engines.prosody.types.Features`.
        value: Measured value.
        z: Standard deviations from the mean of the norm, clipped to ±3.
        amount: Weight times z: what the feature adds to the logit.
    """

    feature: str
    value: float
    z: float
    amount: float


@dataclass(frozen=True, slots=True)
class Explained:
    """Scores with their contributions.

    Attributes:
        contributions: For each score, the largest amount first; with the bias they add up to its logit.
        head: Version of the head.
    """

    score: ProsodyScore
    contributions: dict[Score, tuple[Contribution, ...]]
    bias: dict[Score, float]
    head: str


@dataclass(frozen=True, slots=True)
class RelativeScore:
    """A score compared with the earlier scores of the same person.

    Attributes:
        utterances: Number of earlier utterances.
        usual: Median of their scores.
        difference: The score minus that median.
        percentile: Percentage of the earlier scores that are lower, ties counted by half, 0 to 100.
    """

    utterances: int
    usual: float
    difference: float
    percentile: float
