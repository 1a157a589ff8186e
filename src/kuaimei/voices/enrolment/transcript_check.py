"""Check that a given transcript matches what is said in the recording."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from kuaimei.text.error_rate import units
from kuaimei.text.script import to_simplified
from kuaimei.voices.enrolment.checks.messages import make_check
from kuaimei.voices.types import Check, Verdict

__all__ = ["LIMIT", "TranscriptMatch", "match_transcript"]

LIMIT: Final = 6000
"""Maximum characters of a transcript: ten minutes of fast speech."""
_OTHER: Final = 0.3
_DOUBTFUL: Final = 0.12
_CLOSING: Final = re.compile(r"[。！？!?…，,；;：:、.」』”’)）]*")


@dataclass(frozen=True, slots=True)
class TranscriptMatch:
    """Match of the given text and the recording.

    Attributes:
        check: Check with the error rate in percent.
        text: The part of the given text that is said in the recording.
    """

    check: Check
    text: str


def match_transcript(given: str, heard: str, language: Literal["zh", "en"]) -> TranscriptMatch:
    """Locate the ``heard`` text in the ``given`` one, which may be that of a longer recording.

    Uses the minimum number of edits between the heard text and any part of the given one (Sellers 1980), per
    character (zh) or word (en) heard.

    Args:
        given: Text given by the user.
        heard: Text recognized in the excerpt.
        language: Language of both.
    """
    said, marks = _aligned(given, language)
    listened = units(heard, language)
    errors, first, last = _nearest(listened, said)
    rate = min(1.0, errors / max(1, len(listened)))
    verdict: Verdict = "refused" if rate > _OTHER else "warning" if rate > _DOUBTFUL else "ok"
    text = given
    if last > first:
        # Include the punctuation that closes the last word.
        closing = _CLOSING.match(given, marks[last - 1][1])
        text = given[marks[first][0] : closing.end() if closing else marks[last - 1][1]]
    return TranscriptMatch(make_check("transcript", verdict, 100.0 * rate, "%"), text.strip())


def _aligned(text: str, language: Literal["zh", "en"]) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the units of ``text``, and the start and end of each in it."""
    plain = to_simplified(text).lower()
    if len(plain) != len(text):  # a script conversion that changes lengths: positions are unknown
        found = units(text, language)
        return found, [(0, len(text))] * len(found)
    pattern = r"[a-z0-9']+" if language == "en" else r"[\u3400-\u9fff]|[a-z0-9]"
    matches = list(re.finditer(pattern, plain))
    return [match[0] for match in matches], [match.span() for match in matches]


def _nearest(needle: list[str], hay: list[str]) -> tuple[int, int, int]:
    """Return the edits between ``needle`` and the nearest part of ``hay``, and that part's start and end."""
    row = [0] * (len(hay) + 1)
    origin = list(range(len(hay) + 1))
    for i, x in enumerate(needle, 1):
        previous, came = row[0], origin[0]
        row[0] = i
        for j, y in enumerate(hay, 1):
            above, above_came = row[j], origin[j]
            best, start = previous + (x != y), came
            if above + 1 < best:
                best, start = above + 1, above_came
            if row[j - 1] + 1 < best:
                best, start = row[j - 1] + 1, origin[j - 1]
            row[j], origin[j] = best, start
            previous, came = above, above_came
    end = min(range(len(row)), key=lambda j: row[j])
    return row[end], origin[end], end
