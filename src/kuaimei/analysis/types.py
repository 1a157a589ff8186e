"""What is said of how an utterance was spoken."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SCORES", "Contribution", "Explained", "ProsodyScore", "Reason", "RelativeScore", "Score"]

Score: TypeAlias = Literal["confidence", "stability", "affability"]

SCORES: Final[tuple[Score, ...]] = get_args(Score)

Reason: TypeAlias = Literal[
    "no_audio", "not_speech", "too_short", "too_long", "too_noisy", "no_voice", "unreadable"
]
"""Why an utterance has no scores."""


class ProsodyScore(BaseModel):
    """How an utterance sounds, 0 to 1 each, and the features that went into it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence: float = Field(ge=0, le=1)
    stability: float = Field(ge=0, le=1)
    affability: float = Field(ge=0, le=1)
    features: dict[str, float]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature added to a score.

    Attributes:
        feature: Its name in `kuaimei.engines.prosody.types.Features`.
        value: As measured.
        z: In standard deviations from the mean of the norm, clipped to ±3.
        amount: Weight times z: what it added before the logistic function.
    """

    feature: str
    value: float
    z: float
    amount: float


@dataclass(frozen=True, slots=True)
class Explained:
    """Scores with what they consist of.

    Attributes:
        contributions: Of each score, the largest amount first; with the bias they add up to its logit.
        head: Version of the weights.
    """

    score: ProsodyScore
    contributions: dict[Score, tuple[Contribution, ...]]
    bias: dict[Score, float]
    head: str


@dataclass(frozen=True, slots=True)
class RelativeScore:
    """One score beside those of the same person before.

    Attributes:
        utterances: Earlier ones compared with.
        usual: Their median.
        difference: The score less that.
        percentile: Share of the earlier ones that are lower, ties by half, 0 to 100.
    """

    utterances: int
    usual: float
    difference: float
    percentile: float
