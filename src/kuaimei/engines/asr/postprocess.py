"""Converts recognized text for display: Traditional script, full-width punctuation, spacing."""

import re
from functools import cache

import opencc

from kuaimei.text.script import to_traditional
from kuaimei.text.wellformed import to_well_formed

__all__ = ["postprocess_transcript"]

_HAN = "\u3400-\u9fff\uf900-\ufaff"
_FULL = "，。！？；：、"
_WIDE = {",": "，", ".": "。", "?": "？", "!": "！", ";": "；", ":": "："}

_MARK_AFTER_HAN = re.compile(rf"(?<=[{_HAN}])\s*([,.?!;:])(?![0-9A-Za-z.])\s*")
_COMMA_TO_HAN = re.compile(rf"(?<=[0-9A-Za-z%])\s*([,?!;:])\s*(?=[{_HAN}])")
_COMMA_AFTER_HAN = re.compile(rf"(?<=[{_HAN}])\s*([,?!;:])\s*(?=[0-9A-Za-z])")
_SPACE_IN_HAN = re.compile(rf"(?<=[{_HAN}{_FULL}])\s+(?=[{_HAN}{_FULL}])")
_SPACE_AT_MARK = re.compile(rf"\s+(?=[{_FULL}])|(?<=[{_FULL}])\s+")
_CLAUSE = re.compile(rf"[^{_FULL}]+")
_SPACES = re.compile(r"\s+")
_HAS_HAN = re.compile(rf"[{_HAN}]")
_LAST_STOP = re.compile(r"(?<=[0-9A-Za-z%])([.?!])$")


def postprocess_transcript(text: str) -> str:
    """Return ``text`` as displayed: s2twp, full-width marks in Chinese, no spaces between Han characters.

    A clause that is already in Traditional script keeps its words (s2tw): s2twp replaces words as well
    and would turn a speaker's 「聊天的對象」 into 「聊天的物件」.
    """
    text = _SPACES.sub(" ", to_well_formed(text)).strip()
    if not _HAS_HAN.search(text):
        return text
    text = _SPACE_IN_HAN.sub("", text)
    for pattern in (_MARK_AFTER_HAN, _COMMA_TO_HAN, _COMMA_AFTER_HAN, _LAST_STOP):
        text = pattern.sub(lambda match: _WIDE[match.group(1)], text)
    return _CLAUSE.sub(lambda match: _traditional(match.group()), _SPACE_AT_MARK.sub("", text))


def _traditional(clause: str) -> str:
    return to_traditional(clause) if _is_simplified(clause) else _characters(clause)


def _is_simplified(clause: str) -> bool:
    """Return True if a character exists only in Simplified script, so that Big5 (Traditional) lacks it."""
    return any(_foreign(char) for char in clause)


@cache
def _foreign(char: str) -> bool:
    try:
        char.encode("big5")
    except UnicodeEncodeError:
        return _characters(char) != char
    return False


def _characters(text: str) -> str:
    converted: str = _converter().convert(text)
    return converted


@cache
def _converter() -> opencc.OpenCC:
    return opencc.OpenCC("s2tw")
