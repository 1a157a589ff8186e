"""An utterance beside what the same person said before."""

import statistics
from collections.abc import Sequence
from typing import Final

from kuaimei.analysis.types import RelativeScore

__all__ = ["LEAST_EARLIER", "compare_to_baseline"]

LEAST_EARLIER: Final = 5
"""Of fewer utterances nothing is usual."""


def compare_to_baseline(value: float, earlier: Sequence[float]) -> RelativeScore | None:
    """``value`` beside the same score of the same person's earlier utterances; None below five of them.

    The percentile counts ties by half (the mid-rank of Hazen), so that somebody who always gets the same
    score is at 50 and not at 0 or 100.
    """
    if len(earlier) < LEAST_EARLIER:
        return None
    usual = statistics.median(earlier)
    lower = sum(one < value for one in earlier)
    ties = sum(one == value for one in earlier)
    return RelativeScore(
        utterances=len(earlier),
        usual=usual,
        difference=value - usual,
        percentile=100.0 * (lower + 0.5 * ties) / len(earlier),
    )
