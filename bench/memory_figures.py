"""What the kernel says of a process's memory, and how fast a series of such figures rises."""

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
"""Of a normal distribution: 95 % lie within so many standard deviations."""


@dataclass(frozen=True, slots=True)
class Held:
    """Memory of a process, in MB (2²⁰ bytes).

    Attributes:
        rss: Resident, shared pages in full.
        pss: Resident, shared pages by their share.
        anonymous: Of ``rss``, what belongs to no file: heap, stacks, copies of weights.
        mapped: Of ``rss``, pages of files: libraries, mapped weights. The system can take these back.
    """

    rss: float
    pss: float
    anonymous: float
    mapped: float


def held(pid: int | str = "self") -> Held:
    """What the process ``pid`` holds now."""
    found: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]:
        name, _, size = line.partition(":")
        found[name] = int(size.split()[0]) / _KB
    rss, anonymous = found["Rss"], found["Anonymous"]
    return Held(round(rss, 1), round(found["Pss"], 1), round(anonymous, 1), round(rss - anonymous, 1))


@dataclass(frozen=True, slots=True)
class Slope:
    """A slope with the interval in which it lies with 95 % confidence."""

    middle: float
    least: float
    most: float


def slope(x: Sequence[float], y: Sequence[float]) -> Slope:
    """The Theil–Sen estimate: the median of the slopes between all pairs of points.

    A few points far off do not move it. The interval is Sen's (1968, "Estimates of the Regression Coefficient
    Based on Kendall's Tau"), without his correction for equal values.

    Args:
        x: Rising, at least two.
        y: As many.
    """
    pairs = combinations(zip(x, y, strict=True), 2)
    slopes = sorted((second - first) / (later - before) for (before, first), (later, second) in pairs)
    count, pairs_count = len(x), len(slopes)
    spread = _Z95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18.0)
    low = max(0, round((pairs_count - spread) / 2.0))
    high = min(pairs_count - 1, round((pairs_count + spread) / 2.0))
    return Slope(median(slopes), slopes[low], slopes[high])
