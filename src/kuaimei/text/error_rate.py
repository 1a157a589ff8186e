"""Character and word error rates: Levenshtein distance divided by the length of the reference."""

import re
from collections.abc import Sequence
from typing import TypeVar

from kuaimei.text.script import to_simplified

__all__ = ["edit_distance", "error_rate", "units"]

T = TypeVar("T")


def units(text: str, language: str) -> list[str]:
    """Split ``text`` into the units that errors are counted in.

    Returns:
        Characters in Simplified script without punctuation (zh), or words in lower case (en).
    """
    if language == "en":
        return re.findall(r"[a-z0-9']+", text.lower())
    return re.findall(r"[\u3400-\u9fff]|[a-z0-9]", to_simplified(text).lower())


def error_rate(pairs: Sequence[tuple[str, str]], language: str) -> float:
    """Return the errors in all (reference, hypothesis) pairs per unit of reference (at least 1 unit)."""
    errors = total = 0
    for reference, hypothesis in pairs:
        said, heard = units(reference, language), units(hypothesis, language)
        errors += edit_distance(said, heard)
        total += len(said)
    return errors / max(1, total)


def edit_distance(a: Sequence[T], b: Sequence[T]) -> int:
    """Return the fewest insertions, deletions and substitutions from ``a`` to ``b`` (Levenshtein, 1966)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]
