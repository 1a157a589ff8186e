"""Listeners' ratings of utterances, read from a CSV file."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Final

from kuaimei.analysis.types import SCORES, Score
from kuaimei.errors import SettingsError

__all__ = ["HIGHEST", "LOWEST", "Label", "read_labels"]

LOWEST: Final = 1.0
HIGHEST: Final = 5.0

_TOLD: Final = 5
"""Errors reported at once: enough to fix several rows in one go, but not three hundred."""
_KNOWN: Final = frozenset({"utterance", "file", "rater", "session", *SCORES})


@dataclass(frozen=True, slots=True)
class Label:
    """All ratings of one utterance.

    Attributes:
        utterance: Id in the store; empty if ``file`` is given.
        file: A recording; None if ``utterance`` is given.
        ratings: Mean over the raters of each rated score, 1 to 5.
        session: Utterances of one session are never on both sides of a validation; empty: unknown.
    """

    utterance: str
    file: Path | None
    ratings: Mapping[Score, float]
    session: str = ""


@dataclass(slots=True)
class _Gathered:
    utterance: str
    file: Path | None
    session: str = ""
    ratings: dict[Score, list[float]] = field(default_factory=dict)


def read_labels(path: Path) -> Sequence[Label]:
    """Read labels from a CSV file with a header and one row for each utterance and rater.

    Columns: ``utterance`` (id in the store) or ``file`` (path relative to the folder of the CSV file);
    ``confidence``, ``stability``, ``affability`` (1 to 5, or empty); optionally ``rater`` and ``session``.

    Raises:
        SettingsError: If it cannot be read; the message names the rows and what to do.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8: save it as “CSV UTF-8”") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    found: dict[str, _Gathered] = {}
    wrong: list[str] = []
    for number, row in _rows(text, path):
        try:
            _gather(found, row, path.parent)
        except ValueError as error:
            wrong.append(f"row {number}: {error}")
    if wrong:
        more = f"; and {len(wrong) - _TOLD} more rows" if len(wrong) > _TOLD else ""
        raise SettingsError(f"{path}: {'; '.join(wrong[:_TOLD])}{more}")
    return [
        Label(one.utterance, one.file, {s: fmean(given) for s, given in one.ratings.items()}, one.session)
        for one in found.values()
        if one.ratings
    ]


def _rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield number (the header is row 1) and cells of every row that is not empty."""
    first = text.partition("\n")[0]
    # Excel writes semicolons where the comma is the decimal point.
    separator = max(",;\t", key=first.count)
    reader = csv.reader(text.splitlines(), delimiter=separator, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check(header, path)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, dict(zip(header, (cell.strip() for cell in cells), strict=False))
    except csv.Error as error:
        raise SettingsError(
            f"{path}: row {reader.line_num} is not valid CSV: {error}; fix its quotes"
        ) from error


def _check(header: Sequence[str], path: Path) -> None:
    known = [name for name in header if name in _KNOWN]
    if twice := next((name for name in known if known.count(name) > 1), None):
        raise SettingsError(f"{path}: row 1 has the column {twice} twice: remove one")
    if "utterance" not in header and "file" not in header:
        raise SettingsError(f"{path}: row 1 has neither a column utterance nor a column file: add one")
    if not any(score in header for score in SCORES):
        raise SettingsError(f"{path}: row 1 has none of the columns {', '.join(SCORES)}: add one or more")


def _gather(found: dict[str, _Gathered], row: Mapping[str, str], folder: Path) -> None:
    utterance, name = row.get("utterance", ""), row.get("file", "")
    if bool(utterance) == bool(name):
        raise ValueError("write either an utterance or a file" if name else "the utterance is missing")
    file = folder / name if name else None
    if file is not None and not file.is_file():
        raise ValueError(f"there is no file {file}: fix the path")
    ratings = {score: value for score in SCORES if (value := _rating(row, score)) is not None}
    key = utterance or str(file)
    gathered = found.setdefault(key, _Gathered(utterance, file))
    gathered.session = row.get("session", "") or gathered.session
    for score, value in ratings.items():
        gathered.ratings.setdefault(score, []).append(value)


def _rating(row: Mapping[str, str], score: Score) -> float | None:
    cell = row.get(score, "")
    if not cell:
        return None
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        value = float("nan")
    if not LOWEST <= value <= HIGHEST:
        raise ValueError(f"{score} is {cell!r}: write a number from 1 to 5, or leave it empty")
    return value
