"""Memory of a process as reported by the kernel, and the slope of a series of readings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Final

__all__ = ["Held", "Slope", "held", "slope"]

_KB: Final = 1024.0
_Z95: Final = 1.959964
"""Standard deviations of a normal distribution within which 95 % lie."""


@dataclass(frozen=True, slots=True)
class Held:
    """Memory of a process, in MB (2²⁰ bytes).

    Attributes:
        rss: Resident, shared pages in full.
        pss: Resident, shared pages by their share.
        anonymous: Part of ``rss`` without a file: heap, stacks, copies of weights.
        mapped: Part of ``rss`` from files: libraries, mapped weights. The system can reclaim it.
    """

    rss: float
    pss: float
    anonymous: float
    mapped: float


def held(pid: int | str = "self") -> Held:
    """Return the memory of the process ``pid``."""
    found: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]:
        name, _, size = line.partition(":")
        found[name] = int(size.split()[0]) / _KB
    rss, anonymous = found["Rss"], found["Anonymous"]
    return Held(round(rss, 1), round(found["Pss"], 1), round(anonymous, 1), round(rss - anonymous, 1))


@dataclass(frozen=True, slots=True)
class Slope:
    """Slope with its 95 % confidence interval."""

    middle: float
    least: float
    most: float


def slope(x: Sequence[float], y: Sequence[float]) -> Slope:
    """Return the Theil-Sen estimate: the median of the slopes between all pairs of points.

    A few outliers do not move it. The interval is Sen's (1968, "Estimates of the Regression Coefficient
    Based on Kendall's Tau"), without his correction for equal values.

    Args:
        x: Increasing values, at least two.
        y: As many values.
    """
    pairs = combinations(zip(x, y, strict=True), 2)
    slopes = sorted((second - first) / (later - before) for (before, first), (later, second) in pairs)
    count, pairs_count = len(x), len(slopes)
    spread = _Z95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18.0)
    low = max(0, round((pairs_count - spread) / 2.0))
    high = min(pairs_count - 1, round((pairs_count + spread) / 2.0))
    return Slope(median(slopes), slopes[low], slopes[high])
