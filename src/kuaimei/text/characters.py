"""Character classes: Han, wide, punctuation, and characters that cannot be spoken."""

import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["is_han", "is_punctuation", "is_unspeakable", "is_wide", "listed"]

_KEPT: Final = frozenset("°©®™℃℉№℡→←↔↑↓")
"""Symbols kept because they have a reading, or a meaning on the screen."""


def is_han(char: str) -> bool:
    """Return whether ``char`` is a Chinese character."""
    return "\u4e00" <= char <= "\u9fff" or "\u3400" <= char <= "\u4dbf" or "\uf900" <= char <= "\ufaff"


def is_wide(char: str) -> bool:
    """Return whether ``char`` takes no space beside it: Han, kana, full-width punctuation."""
    return (
        "\u3000" <= char <= "\u9fff"
        or "\uf900" <= char <= "\ufaff"
        or "\uff00" <= char <= "\uffef"
        or (char in "…—“”‘’")
    )


def is_punctuation(char: str) -> bool:
    """Return whether the voice already pauses at ``char``, so that a line break adds no pause."""
    return char in "，。！？；：、…—,.!?;:（(「『“《"


@lru_cache(maxsize=4096)
def is_unspeakable(char: str) -> bool:
    """Return whether ``char`` is an emoji or modifier, a dingbat, a control or a private-use character."""
    if char in _KEPT:
        return False
    code = ord(char)
    if 0x3200 <= code <= 0x33FF:  # ㎡, ㏄ and similar ones are read as units
        return False
    if (
        char == "\u20e3"
        or 0x1F000 <= code <= 0x1FAFF
        or 0xE0000 <= code <= 0xE0FFF
        or 0xFE00 <= code <= 0xFE0F
    ):
        return True
    return unicodedata.category(char) in {"So", "Cc", "Cf", "Co", "Cn", "Cs", "Sk"} and code > 0x7E


def listed(words: str) -> frozenset[str]:
    """Return the words of a list separated by spaces and line breaks."""
    return frozenset(words.split())
