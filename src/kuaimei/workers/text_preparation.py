"""Text preparation: Simplified characters for engines trained on them, bopomofo readings for BreezyVoice."""

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
"""Minimum sentence length in characters; engines render shorter ones badly."""
_TONES: Final = {"ˊ": "2", "ˇ": "3", "ˋ": "4", "˙": "5"}


def language_of(text: str) -> Literal["zh", "en"]:
    """Return ``zh`` if the text contains a Han character, otherwise ``en``."""
    return "zh" if _HAN.search(text) else "en"


def spelled_out(text: str, settings: Settings) -> str:
    """Spell out numbers, dates and units as read in Taiwan, applying the user's lexicon."""
    return normalize_text(text, _lexicon(settings.home / "lexicon.toml"))


def simplified(text: str, settings: Settings) -> str:
    """Return the text as by `spelled_out`, in Simplified characters."""
    return to_simplified(spelled_out(text, settings))


def sentences(text: str) -> Iterator[str]:
    """Split ``text`` into sentences, so that playback starts early; short ones are joined to the next."""
    held = ""
    for match in _SENTENCE.finditer(text):
        held += match.group()
        if len(held.strip()) >= _SHORTEST:
            yield held.strip()
            held = ""
    if held.strip():
        yield held.strip()


def with_bopomofo(text: str, settings: Settings) -> str:
    """Insert the lexicon's readings after their characters in BreezyVoice's syntax: 垃[:ㄌㄜ4]圾[:ㄙㄜ4].

    Only for phrases: how to read a single character such as 和 depends on the context, which the model, being
    from Taiwan, handles itself.
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
    """Convert a pinyin syllable with tone number to bopomofo: ``le4`` to ㄌㄜ4."""
    from pypinyin.contrib.tone_convert import to_tone
    from pypinyin.style.bopomofo import converter

    said: str = converter.to_bopomofo(to_tone(syllable.removesuffix("5")))
    tone = syllable[-1]
    return "".join(char for char in said if char not in _TONES) + tone
