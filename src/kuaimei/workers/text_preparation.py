"""A text as engines want it that were trained on mainland Mandarin, and as BreezyVoice wants it."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal

from kuaimei.settings import Settings
from kuaimei.text.lexicon import Lexicon, load_lexicon
from kuaimei.text.normalization import normalize_text
from kuaimei.text.script import to_simplified

__all__ = ["language_of", "sentences", "simplified", "spelled_out", "with_bopomofo"]

_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_SENTENCE: Final = re.compile(r"[^。！？!?；;\n]+[。！？!?；;\n]*[」』”’）)]*|[。！？!?；;\n]+")
_SHORTEST: Final = 6
"""Characters; engines are bad at less."""
_TONES: Final = {"ˊ": "2", "ˇ": "3", "ˋ": "4", "˙": "5"}


def language_of(text: str) -> Literal["zh", "en"]:
    """The language that a text is mostly to be read in."""
    return "zh" if _HAN.search(text) else "en"


def spelled_out(text: str, settings: Settings) -> str:
    """Numbers, dates and units in words as Taiwan reads them; the user's lexicon applies."""
    return normalize_text(text, _lexicon(settings.home / "lexicon.toml"))


def simplified(text: str, settings: Settings) -> str:
    """`spelled_out`, in Simplified characters."""
    return to_simplified(spelled_out(text, settings))


def sentences(text: str) -> Iterator[str]:
    """``text`` in sentences, short ones joined to the next: the first can be heard while others are made."""
    held = ""
    for match in _SENTENCE.finditer(text):
        held += match.group()
        if len(held.strip()) >= _SHORTEST:
            yield held.strip()
            held = ""
    if held.strip():
        yield held.strip()


def with_bopomofo(text: str, settings: Settings) -> str:
    """The lexicon's readings after their characters, as BreezyVoice takes them: 垃[:ㄌㄜ4]圾[:ㄙㄜ4].

    Those of phrases only: which 和 is a word of its own, the model knows itself, being from Taiwan.
    """
    readings, pattern = _bopomofo(settings.home / "lexicon.toml")
    if pattern is None:
        return text

    def spelled(match: re.Match[str]) -> str:
        phrase = match.group()
        return "".join(f"{char}[:{sound}]" for char, sound in zip(phrase, readings[phrase], strict=True))

    return pattern.sub(spelled, text)


@cache
def _lexicon(path: Path) -> Lexicon:
    return load_lexicon(path)


@cache
def _bopomofo(path: Path) -> tuple[Mapping[str, tuple[str, ...]], re.Pattern[str] | None]:
    readings = {
        phrase: tuple(_spelled(syllable) for syllable in syllables)
        for phrase, syllables in _lexicon(path).pinyin.items()
        if len(phrase) == len(syllables) > 1
    }
    longest_first = sorted(readings, key=len, reverse=True)
    return readings, re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _spelled(syllable: str) -> str:
    """``le4`` as ㄌㄜ4."""
    from pypinyin.contrib.tone_convert import to_tone
    from pypinyin.style.bopomofo import converter

    said: str = converter.to_bopomofo(to_tone(syllable.removesuffix("5")))
    tone = syllable[-1]
    return "".join(char for char in said if char not in _TONES) + tone
