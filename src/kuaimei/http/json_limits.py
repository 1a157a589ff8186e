"""How much work foreign JSON may make before it is known what it says.

A megabyte that is one long string is read in a millisecond; a megabyte of the smallest lists takes thirty,
and then its values have to be checked one by one. So what is bounded, beside the size, is the number of
values: there are no more than marks that could begin or separate one, and to count those costs nothing.
"""

from typing import Final

__all__ = ["MOST_MARKS", "marks_in"]

MOST_MARKS: Final = 65_536
"""``{``, ``[``, ``:`` and ``,`` in one document, those within strings included."""

_MARKS: Final = (b"{", b"[", b":", b",")
_TEXT_MARKS: Final = ("{", "[", ":", ",")


def marks_in(data: bytes | str) -> int:
    """Marks in ``data``: its JSON holds at most one value more."""
    if isinstance(data, str):
        return sum(data.count(mark) for mark in _TEXT_MARKS)
    return sum(data.count(mark) for mark in _MARKS)
