"""Pieces of what was said, put together again."""

from collections.abc import Iterable
from typing import Final
from unicodedata import east_asian_width

__all__ = ["join_pieces"]

_WIDE: Final = frozenset("WF")
"""Chinese characters and the marks that go with them, which carry their own space."""


def join_pieces(texts: Iterable[str]) -> str:
    """Texts of successive pieces as one: a space between two where neither side is Chinese.

    What is joined begins with what all but the last of the pieces give.
    """
    joined = ""
    for text in filter(None, (text.strip() for text in texts)):
        tight = not joined or _wide(joined[-1]) or _wide(text[0])
        joined += text if tight else f" {text}"
    return joined


def _wide(char: str) -> bool:
    return east_asian_width(char) in _WIDE
