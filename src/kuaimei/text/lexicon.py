"""Pronunciation lexicon: Taiwan readings for a synthesizer that speaks mainland Mandarin."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from kuaimei.errors import SettingsError
from kuaimei.text.script import to_simplified

__all__ = ["Lexicon", "load_lexicon", "phrases_for_pypinyin", "register_with_pypinyin", "shipped_lexicon"]

_SYLLABLE: Final = re.compile(r"[a-zü]+[1-5]")
_CHANGE: Final = re.compile(r"([a-zü]+[1-5]) > ([a-zü]+[1-5])")
_TABLES: Final = ("characters", "pinyin", "replacements")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Forced readings.

    Attributes:
        pinyin: Phrase in Traditional Chinese → one syllable with its tone number (5 is the neutral
            tone) for each character. A single character applies where it is a word of its own.
        characters: Character → its mainland reading and its Taiwan reading, in any word.
        replacements: Written text → text to be read instead, applied before anything else, longest first.
    """

    pinyin: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    replacements: Mapping[str, str] = field(default_factory=dict)
    characters: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    _pattern: re.Pattern[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = sorted(self.replacements, key=len, reverse=True)
        pattern = re.compile("|".join(map(_whole, keys))) if keys else None
        object.__setattr__(self, "_pattern", pattern)

    def replace(self, text: str) -> str:
        """Apply all ``replacements`` to ``text`` in one pass; Latin ones match whole words only."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self.replacements[match.group()], text)


def _whole(key: str) -> str:
    before = r"(?<![A-Za-z0-9])" if key[0].isascii() and key[0].isalnum() else ""
    after = r"(?![A-Za-z0-9])" if key[-1].isascii() and key[-1].isalnum() else ""
    return f"{before}{re.escape(key)}{after}"


@cache
def shipped_lexicon() -> Lexicon:
    """Return the shipped lexicon: Taiwan readings, and phrases whose polyphones pypinyin gets wrong."""
    text = files("kuaimei.text").joinpath("data/lexicon.toml").read_text(encoding="utf-8")
    return _parsed(text, "lexicon.toml")


def load_lexicon(path: Path | None) -> Lexicon:
    """Load the shipped lexicon, overridden by the user's entries.

    Args:
        path: A TOML file with the tables ``[pinyin]`` (``"垃圾" = "le4 se4"``),
            ``[replacements]`` (``kuaimei = "快美"``) and ``[characters]`` (``"期" = "qi1 > qi2"``);
            None or a missing file: the shipped lexicon only.

    Raises:
        SettingsError: If the file cannot be read or an entry is invalid; the message names the line.
    """
    shipped = shipped_lexicon()
    if path is None or not path.is_file():
        return shipped
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as UTF-8 text: {error}") from error
    own = _parsed(text, str(path))
    return Lexicon(
        {**shipped.pinyin, **own.pinyin},
        {**shipped.replacements, **own.replacements},
        {**shipped.characters, **own.characters},
    )


def phrases_for_pypinyin(lexicon: Lexicon) -> dict[str, list[list[str]]]:
    """Return the readings in the form of ``pypinyin.load_phrases_dict``: Simplified keys, tone marks.

    The neutral tone is a syllable without a mark. Besides the lexicon's own phrases, the result holds all
    phrases of pypinyin that contain one of ``characters`` in the mainland reading (some 6,000).
    """
    from pypinyin.constants import PHRASES_DICT
    from pypinyin.contrib.tone_convert import to_tone

    changes = {
        to_simplified(char): (to_tone(old), to_tone(new)) for char, (old, new) in lexicon.characters.items()
    }
    affected = re.compile("|".join(changes)) if changes else re.compile("(?!)")
    phrases = {}
    for phrase, readings in PHRASES_DICT.items():
        if affected.search(phrase) and len(phrase) == len(readings):
            changed = [
                [_changed(changes, char, options[0])] for char, options in zip(phrase, readings, strict=True)
            ]
            if any(new[0] != options[0] for new, options in zip(changed, readings, strict=True)):
                phrases[phrase] = changed
    for phrase, syllables in lexicon.pinyin.items():
        phrases[to_simplified(phrase)] = [[to_tone(syllable.removesuffix("5"))] for syllable in syllables]
    return phrases


def register_with_pypinyin(lexicon: Lexicon) -> None:
    """Register the lexicon's ``characters`` with pypinyin, process-wide, for words it does not know."""
    from pypinyin import load_single_dict
    from pypinyin.constants import PINYIN_DICT
    from pypinyin.contrib.tone_convert import to_tone

    taught = {}
    for char, (old, new) in lexicon.characters.items():
        code = ord(to_simplified(char))
        known = PINYIN_DICT.get(code, "").split(",")
        if known[0] == to_tone(old):
            taught[code] = ",".join(dict.fromkeys((to_tone(new), *known)))
    load_single_dict(taught)


def _changed(changes: Mapping[str, tuple[str, str]], char: str, reading: str) -> str:
    old, new = changes.get(char, ("", ""))
    return new if reading == old else reading


def _parsed(text: str, name: str) -> Lexicon:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name} is not valid TOML: {error}; Chinese keys need quotes") from error
    for table, entries in tables.items():
        if table not in _TABLES or not isinstance(entries, dict):
            known = ", ".join(f"[{table}]" for table in _TABLES)
            raise SettingsError(f"{name}, line {_line(text, table)}: unknown table {table!r}; use {known}")
    pinyin = {key: _syllables(key, value, text, name) for key, value in tables.get("pinyin", {}).items()}
    replacements = {
        key: _said(key, value, text, name) for key, value in tables.get("replacements", {}).items()
    }
    characters = {key: _change(key, value, text, name) for key, value in tables.get("characters", {}).items()}
    return Lexicon(pinyin, replacements, characters)


def _syllables(key: str, value: Any, text: str, name: str) -> tuple[str, ...]:
    where = f"{name}, line {_line(text, key)}"
    if not isinstance(value, str):
        raise SettingsError(f'{where}: the reading of {key} must be a string such as "le4 se4"')
    syllables = tuple(value.lower().replace("v", "ü").split())
    for syllable in syllables:
        if not _SYLLABLE.fullmatch(syllable):
            raise SettingsError(
                f"{where}: {syllable!r} is not a pinyin syllable with a tone number from 1 to 5"
            )
    if len(syllables) != len(key) or not key:
        raise SettingsError(f"{where}: {key} has {len(key)} characters but {len(syllables)} syllables")
    return syllables


def _change(key: str, value: Any, text: str, name: str) -> tuple[str, str]:
    match = _CHANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None or len(key) != 1:
        raise SettingsError(
            f'{name}, line {_line(text, key)}: an entry in [characters] must look like "期" = "qi1 > qi2"'
        )
    return match[1], match[2]


def _said(key: str, value: Any, text: str, name: str) -> str:
    if not isinstance(value, str) or not key:
        raise SettingsError(f"{name}, line {_line(text, key)}: the replacement of {key!r} must be a string")
    return value


def _line(text: str, key: str) -> int:
    """Return the line that defines ``key``, for error messages, as tomllib does not report it."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip(" [\"'").startswith(key):
            return number
    return 1
