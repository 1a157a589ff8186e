"""Concatenation of transcript segments."""

from collections.abc import Iterable
from typing import Final
from unicodedata import east_asian_width

__all__ = ["join_pieces"]

_WIDE: Final = frozenset("WF")
"""East Asian width classes of Chinese characters and punctuation, which need no space."""


def join_pieces(texts: Iterable[str]) -> str:
    """Join successive pieces of text, with a space where neither side is Chinese.

    The result for all but the last piece is a prefix of the result for all.
    """
    joined = ""
    for text in filter(None, (text.strip() for text in texts)):
        tight = not joined or _wide(joined[-1]) or _wide(text[0])
        joined += text if tight else f" {text}"
    return joined


def _wide(char: str) -> bool:
    return east_asian_width(char) in _WIDE
