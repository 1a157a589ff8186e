"""Conversion between Simplified and Traditional Chinese, of whole texts and of streams.

The screen shows Taiwan's script and vocabulary; the synthesizer receives Simplified characters.
"""

from functools import cache
from typing import Final

import opencc

from kuaimei.text.opencc_phrases import Phrasebook, phrasebook

__all__ = ["TraditionalStream", "preload", "simplified_characters", "to_simplified", "to_traditional"]

_CHUNK: Final = 64
"""Characters processed at a time, so that the work stays proportional to the length of a text."""
_SCENARIOS: Final = 12
"""Maximum undecided characters searched for text that can be shown early; more are held back."""


@cache
def _converter(name: str) -> opencc.OpenCC:
    return opencc.OpenCC(name)


def preload() -> None:
    """Load the dictionaries (about 0.3 s); call it in a thread before the first turn."""
    _converter("tw2s")
    _converter("s2t")
    _converter("s2twp")
    phrasebook()


def to_simplified(text: str) -> str:
    """Convert ``text`` to Simplified characters; its words are unchanged.

    Uses OpenCC's tw2s instead of t2s, which leaves 著 alone: 走著 would be read zhù.
    """
    converted: str = _converter("tw2s").convert(text)
    return converted


def to_traditional(text: str) -> str:
    """Convert ``text`` to Taiwan's Traditional characters and vocabulary.

    Uses OpenCC's s2twp, except for the words of ``data/kept.txt``: s2twp treats all text as Simplified and
    as computing text, so that 干擾 would become 幹擾 and 「我支持你」 「我支援你」.
    """
    return _convert(phrasebook(), text, len(text))


def _convert(book: Phrasebook, text: str, end: int) -> str:
    """Convert ``text[:end]``, where ``end`` is a boundary between segments."""
    convert = _converter("s2twp").convert
    out, begun, at = "", 0, 0
    if not book.exception.search(text, 0, end):
        at = end
    while at < end:
        stop = at + _step(book, text[:end], at, final=True)
        if (kept := book.kept.get(text[at:stop])) is not None:
            out += convert(text[begun:at]) + kept
            begun = stop
        at = stop
    out += convert(text[begun:end]) if begun < end else ""
    return out


@cache
def _unified(char: str) -> str:
    """Return a character after the first step of s2twp, in the form that Taiwan phrases are matched in."""
    converted: str = _converter("s2t").convert(char)
    return converted


class TraditionalStream:
    """Incremental `to_traditional`.

    The concatenated output equals the conversion of the whole text, however it is split. Only text that
    a phrase could still change is held back: 「头」 waits (头发 is 頭髮), 「我」 does not.
    """

    def __init__(self) -> None:
        self._book = phrasebook()
        self._open = ""
        """Text whose segmentation is undecided."""
        self._shown = ""
        """Part of the conversion of `_open` that has been returned already."""

    def push(self, text: str) -> str:
        """Add ``text`` and return the new converted text that no later text can change."""
        return "".join(self._push(text[at : at + _CHUNK]) for at in range(0, len(text), _CHUNK))

    def _push(self, text: str) -> str:
        self._open += text
        end, settled = _decide(self._book, self._open)
        done = _convert(self._book, self._open, end)
        new = (done + settled)[len(self._shown) :]
        self._open = self._open[end:]
        self._shown = settled if len(done) + len(settled) >= len(self._shown) else self._shown[len(done) :]
        return new

    def flush(self) -> str:
        """Return the text held back and reset the stream."""
        new = to_traditional(self._open)[len(self._shown) :]
        self._open = self._shown = ""
        return new


def _decide(book: Phrasebook, text: str) -> tuple[int, str]:
    """Return how far the segmentation of ``text`` is decided, and the certain conversion after that."""
    at = 0
    while at < len(text):
        step = _step(book, text, at)
        if step == 0:
            break
        at += step
    return at, _certain(book, text[at:])


def _step(book: Phrasebook, text: str, at: int, *, final: bool = False) -> int:
    """Return the length of the segment at ``at``; 0 if later text may change it.

    Args:
        book: Phrase tables.
        text: Text to segment.
        at: Start of the segment.
        final: True if no text will follow.
    """
    if not final and text[at:] in book.promises:
        return 0
    if end := book.phrase_at(text, at) - at:
        return end
    unified = "".join(_unified(char) for char in text[at : at + book.longest])
    if not final and len(text) - at <= book.longest and unified in book.taiwan_prefixes:
        return 0
    size = book.taiwan_at(unified)
    # A Taiwan phrase lies entirely between phrases: a phrase that begins inside it shortens it.
    for inside in range(at + 1, at + size):
        if not final and text[inside:] in book.promises:
            return 0
        if book.phrase_at(text, inside) > inside:
            return max(1, book.taiwan_at(unified[: inside - at]))
    return max(1, size)


def _certain(book: Phrasebook, text: str) -> str:
    """Return the beginning of the conversion of ``text`` that holds whatever follows."""
    if not text or len(text) > _SCENARIOS or (promise := book.promises.get(text)) is None:
        return ""
    end = book.phrase_at(text, 0) or 1
    if any(_unified(char) in book.taiwan_prefixes for char in text):
        return ""
    stops = to_traditional(text[:end]) + _certain_rest(book, text[end:])
    size = 0
    for a, b in zip(promise, stops, strict=False):
        if a != b:
            break
        size += 1
    return promise[:size]


def _certain_rest(book: Phrasebook, text: str) -> str:
    """Return the conversion of ``text`` if the expected phrase is not completed. See `_certain`."""
    end, settled = _decide(book, text)
    return to_traditional(text[:end]) + settled


@cache
def _simple(char: str) -> str:
    converted = to_simplified(char)
    return converted if len(converted) == 1 else char


def simplified_characters(text: str) -> str:
    """Convert character by character to Simplified, keeping the length, for dictionary lookups."""
    return "".join(map(_simple, text))
