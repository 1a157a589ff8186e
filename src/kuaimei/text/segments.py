"""Text segments: the smallest units that are never cut, with their spoken length."""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

__all__ = ["Kind", "TextSegment", "scan"]


class Kind(Enum):
    """Role of a text segment in speech."""

    HAN = auto()
    """A single character spoken as one syllable."""
    WORD = auto()
    """A Latin word, a number, an address."""
    STRONG = auto()
    """Punctuation that ends a sentence."""
    WEAK = auto()
    """Punctuation that makes a pause within a sentence."""
    OPEN = auto()
    CLOSE = auto()
    SPACE = auto()
    SILENT = auto()
    """A character that is neither spoken nor a pause."""
    UNDECIDED = auto()
    """The end of the text so far, which may still become something else (「3.」, 「Hel」)."""


@dataclass(frozen=True, slots=True)
class TextSegment:
    """A segment of text.

    Attributes:
        end: Index of its end in the scanned text.
        weight: Length in spoken characters.
    """

    text: str
    end: int
    kind: Kind
    weight: float = 0.0

    @property
    def closes(self) -> str:
        """Closing mark that matches this opening mark."""
        return _PAIRS[self.text]


_PAIRS: Final = {
    "「": "」", "『": "』", "“": "”", "（": "）", "(": ")",
    "《": "》", "〈": "〉", "【": "】", "〔": "〕", "[": "]",
}  # fmt: skip
_CLOSERS: Final = frozenset(_PAIRS.values())
_STRONG: Final = frozenset("。！？!?；;…\n")
_WEAK: Final = frozenset("，、：,:—～~")

_LATIN: Final = r"[^\W_\u3040-\u30ff\u3100-\u312f\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]"
_WORD: Final = re.compile(
    r"(?:https?://|www\.)[!-~]*[A-Za-z0-9/=&#_-]"
    r"|[A-Za-z0-9][\w.+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
    r"|(?:[A-Za-z]\.){2,}(?![A-Za-z])"
    r"|(?:NT|US)?[$€£¥]?[-+−]?\d+(?:[.,:/~\-–]\d+)*(?:%|°[CF]?|℃|％)?(?:[A-Za-z]+(?:[²³/][A-Za-z]*)?)?"
    rf"|{_LATIN}+(?:['’.+#&/_@-]+{_LATIN}+)*[+#]*",
)
_MAY_GO_ON: Final = re.compile(r"(?:[$€£¥@/.+\-_&#'’:,~–%°²³]|[!-~])*")
_ABBREVIATIONS: Final = frozenset(
    ("mr", "mrs", "ms", "dr", "prof", "vs", "st", "jr", "sr", "inc", "ltd", "co", "fig", "dept")
)


def scan(text: str, *, final: bool = True) -> list[TextSegment]:
    """Split ``text`` into segments, in order and without gaps.

    Args:
        text: Any text.
        final: False if more text will follow: then a segment at the end that may grow is `Kind.UNDECIDED`.
    """
    atoms: list[TextSegment] = []
    at = 0
    while at < len(text):
        atom = _next(text, at, atoms, final=final)
        atoms.append(atom)
        at = atom.end
    return atoms


def _next(text: str, at: int, before: list[TextSegment], *, final: bool) -> TextSegment:
    char = text[at]
    if (char.isascii() or char.isalnum() or char in "€£¥−") and (match := _WORD.match(text, at)):
        end = match.end()
        if not final and _open_ended(text, end):
            return TextSegment(text[at:], len(text), Kind.UNDECIDED, 1.0)
        return TextSegment(match.group(), end, Kind.WORD, _weight(match.group()))
    end = at + 1
    if char == ".":
        return _full_stop(text, at, before, final=final)
    if char in ",:" and end == len(text) and not final and at and text[at - 1].isdigit():
        return TextSegment(char, end, Kind.UNDECIDED)
    if char in _STRONG:
        return TextSegment(char, end, Kind.STRONG)
    if char in _WEAK:
        return TextSegment(char, end, Kind.WEAK)
    if char in _PAIRS:
        return TextSegment(char, end, Kind.OPEN)
    if char in _CLOSERS:
        return TextSegment(char, end, Kind.CLOSE)
    if char.isspace():
        return TextSegment(char, end, Kind.SPACE)
    if char.isalnum():
        return TextSegment(char, end, Kind.HAN, 1.0)
    return TextSegment(char, end, Kind.SILENT)


def _open_ended(text: str, end: int) -> bool:
    """Return whether the word that ends at ``end`` may continue in the next token."""
    rest = _MAY_GO_ON.match(text, end)
    return rest is not None and rest.end() == len(text)


def _full_stop(text: str, at: int, before: list[TextSegment], *, final: bool) -> TextSegment:
    """Classify the period at ``at``: end of a sentence, part of an abbreviation or number, or undecided."""
    if at + 1 == len(text) and not final:
        return TextSegment(".", at + 1, Kind.UNDECIDED)
    previous = before[-1].text.lower() if before else ""
    follows = text[at + 1 : at + 2]
    if previous in _ABBREVIATIONS or (follows.isascii() and follows.isalnum()):
        return TextSegment(".", at + 1, Kind.SILENT)
    return TextSegment(".", at + 1, Kind.STRONG)


def _weight(word: str) -> float:
    """Return the spoken length of a Latin word (about its syllables) or a number (its digits)."""
    digits = sum(char.isdigit() for char in word)
    letters = len(word) - digits
    if digits:
        return min(digits + letters * 0.5, 12.0)
    return 1.2 if letters <= 3 else min(1.9 if letters <= 10 else letters / 4, 8.0)
