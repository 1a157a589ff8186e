"""Comparison of a score with the earlier scores of the same speaker."""

import statistics
from collections.abc import Sequence
from typing import Final

from kuaimei.analysis.types import RelativeScore

__all__ = ["LEAST_EARLIER", "compare_to_baseline"]

LEAST_EARLIER: Final = 5
"""Minimum number of earlier utterances for a baseline."""


def compare_to_baseline(value: float, earlier: Sequence[float]) -> RelativeScore | None:
    """Compare ``value`` with the same speaker's earlier values; None if there are fewer than five.

    The percentile counts ties by half (the mid-rank of Hazen), so that a speaker who always gets the same
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
