"""Confidence intervals for listening tests."""

import math
from typing import Final

__all__ = ["wilson"]

_Z: Final = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


def wilson(successes: int, trials: int) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of a proportion; None without trials.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927: it stays
    in [0, 1] and is accurate for few trials, too.

    Raises:
        ValueError: If ``successes`` is negative or exceeds ``trials``.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is not a proportion")
    if not trials:
        return None
    share, z2 = successes / trials, _Z * _Z
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)
