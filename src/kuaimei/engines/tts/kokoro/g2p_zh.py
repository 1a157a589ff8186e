"""Mandarin to phonemes: words by jieba, readings by pypinyin and the server's lexicon, sounds by misaki.

Tone sandhi (third tones in a row, 一, 不) is left to the network: Kokoro was trained on citation tones.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

from kuaimei.engines.import_lock import importing
from kuaimei.text.lexicon import Lexicon, phrases_for_pypinyin, register_with_pypinyin

__all__ = ["HAN", "Mandarin", "load_mandarin"]

HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff〇"
"""Characters that are read as Mandarin, for use within the brackets of a regular expression."""

_SYLLABIC_NASALS: Final = frozenset({"n", "ng", "m", "hm", "hng"})
"""嗯 and the like: Kokoro drops such syllables without a vowel."""


class Mandarin:
    """Converts runs of Simplified characters to Kokoro's phonemes; loading takes 1 to 2 s.

    Args:
        readings: Phrases (Simplified) with the pinyin of each character, as returned by
            `kuaimei.text.lexicon.phrases_for_pypinyin`. They override pypinyin's. A phrase applies if it
            consists of whole words or lies within one; a single character only if it is a word by itself.
    """

    def __init__(self, readings: Mapping[str, Sequence[Sequence[str]]]) -> None:
        with importing():
            import jieba  # type: ignore[import-untyped]  # loads slowly
            import pypinyin
            from misaki.zh import ZHG2P  # type: ignore[import-untyped]
            from pypinyin.contrib.tone_convert import to_tone3

        jieba.setLogLevel(logging.WARNING)
        jieba.initialize()
        self._jieba: Any = jieba
        self._pypinyin: Any = pypinyin
        self._ipa: Any = ZHG2P.py2ipa
        self._readings = {
            phrase: tuple(to_tone3(options[0], neutral_tone_with_five=True) for options in pinyin)
            for phrase, pinyin in readings.items()
        }
        self._longest = max(map(len, self._readings), default=0)

    def __call__(self, han: str) -> str:
        """Return ``han`` (characters only, no punctuation) in phonemes, words separated by spaces."""
        return " ".join("".join(_sounds(self._ipa, pinyin) for pinyin in word) for word in self.pinyin(han))

    def pinyin(self, han: str) -> list[list[str]]:
        """Return for each word of ``han`` the pinyin of its characters, tones as digits (5 is neutral)."""
        words = self._jieba.lcut(han)
        pinyin: list[str] = []
        starts = set()
        for word in words:
            starts.add(len(pinyin))
            pinyin += self._pypinyin.lazy_pinyin(
                word,
                style=self._pypinyin.Style.TONE3,
                neutral_tone_with_five=True,
                errors=lambda unknown: [""] * len(unknown),
            )
        starts.add(len(han))
        for start, phrase in self._phrases(han, starts):
            pinyin[start : start + len(phrase)] = self._readings[phrase]
        edges = sorted(starts)
        return [pinyin[start:end] for start, end in pairwise(edges)]

    def _phrases(self, han: str, starts: set[int]) -> Iterator[tuple[int, str]]:
        """Yield start and text of the lexicon's phrases in ``han``, the longest where they overlap."""
        at = 0
        while at < len(han):
            for size in range(min(self._longest, len(han) - at), 0, -1):
                phrase = han[at : at + size]
                inside = any(place in starts for place in range(at + 1, at + size))
                whole = at in starts and at + size in starts
                if phrase in self._readings and (whole or (size > 1 and not inside)):
                    yield at, phrase
                    at += size
                    break
            else:
                at += 1


@lru_cache(maxsize=4096)
def _sounds(ipa: Any, pinyin: str) -> str:
    """Return one syllable in Kokoro's phonemes; empty if ``pinyin`` is not a syllable."""
    if pinyin[:-1] in _SYLLABIC_NASALS:
        pinyin = f"en{pinyin[-1]}"
    try:
        said: str = ipa(pinyin)
    except (ValueError, KeyError, AssertionError, IndexError):
        return ""
    return said.replace("\u032f", "")  # the non-syllabic mark is not among Kokoro's symbols


def load_mandarin(lexicon: Lexicon) -> Mandarin:
    """Load Mandarin with the readings of ``lexicon``, for words that pypinyin knows and for others."""
    mandarin = Mandarin(phrases_for_pypinyin(lexicon))
    register_with_pypinyin(lexicon)
    return mandarin
