"""Limit on the number of values in JSON from clients, checked before it is parsed.

A megabyte that is one long string is parsed in a millisecond; a megabyte of the smallest lists takes thirty,
and then each value has to be validated. So the number of values is limited, too. It is bounded by the number
of characters that can begin or separate a value (marks), which are cheap to count.
"""

from typing import Final

__all__ = ["MOST_MARKS", "marks_in"]

MOST_MARKS: Final = 65_536
"""Maximum number of ``{``, ``[``, ``:`` and ``,`` in one document, those within strings included."""

_MARKS: Final = (b"{", b"[", b":", b",")
_TEXT_MARKS: Final = ("{", "[", ":", ",")


def marks_in(data: bytes | str) -> int:
    """Return the number of marks in ``data``: its JSON has at most one value more."""
    if isinstance(data, str):
        return sum(data.count(mark) for mark in _TEXT_MARKS)
    return sum(data.count(mark) for mark in _MARKS)
