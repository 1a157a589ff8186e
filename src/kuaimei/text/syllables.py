"""How many syllables a text has when it is read aloud."""

import re
from typing import Final

from kuaimei.text.reading import read_aloud
from kuaimei.text.signs import is_han, listed

__all__ = ["count_syllables", "word_syllables"]

_WORD: Final = re.compile(r"[a-z]+(?:['’][a-z]+)*")
_VOWELS: Final = re.compile(r"[aeiouy]+")


def count_syllables(text: str, language: str | None = None) -> int:
    """Syllables of ``text`` as it is said.

    A Chinese character is one; what is no character is read first (`read_aloud`: 「3.5 公里」 is 三點五公里),
    and what English is left counts by `word_syllables`; letters said by their names count one each, W three.

    Args:
        text: A transcript in Chinese, English or both.
        language: ``zh`` or ``en``, of its numbers; None or another: as the text itself is.
    """
    spoken = read_aloud(text, language="en" if language == "en" else "zh" if language == "zh" else None)
    characters = sum(map(is_han, spoken))
    return characters + sum(word_syllables(word) for word in _WORD.findall(spoken.lower()))


def word_syllables(word: str) -> int:
    """Syllables of one English word in lower case; groups of vowels, less the silent ones."""
    return max(1, len(_VOWELS.findall(word)))
