"""Between Simplified and Traditional Chinese, also while the text is still being written.

Taiwan's script and words go on the screen, Simplified to the synthesiser.
"""

from functools import cache
from typing import Final

import opencc

from kuaimei.text.opencc_phrases import Phrasebook, phrasebook

__all__ = ["TraditionalStream", "preload", "simplified_characters", "to_simplified", "to_traditional"]

_CHUNK: Final = 64
"""Characters taken at a time, so that the work stays proportional to the length of a text."""
_SCENARIOS: Final = 12
"""Undecided characters looked through for what may be shown early; more are simply held back."""


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
    """``text`` in Simplified characters, its words unchanged.

    OpenCC tw2s rather than t2s, which leaves 著 alone: 走著 would be read zhù.
    """
    converted: str = _converter("tw2s").convert(text)
    return converted


def to_traditional(text: str) -> str:
    """``text`` in Taiwan's Traditional characters and words.

    OpenCC s2twp, except for the words of ``data/kept.txt``: s2twp takes everything for Simplified
    and for computing, so that 干擾 would become 幹擾 and 「我支持你」 「我支援你」.
    """
    return _convert(phrasebook(), text, len(text))


def _convert(book: Phrasebook, text: str, end: int) -> str:
    """``text[:end]`` converted, where ``end`` is a border between segments."""
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
    """One character after s2twp's first step, as its Taiwan phrases see it."""
    converted: str = _converter("s2t").convert(char)
    return converted


class TraditionalStream:
    """`to_traditional` for text that arrives in pieces.

    However the text is split, everything returned together equals the conversion of the whole.
    Held back is only what a phrase could still change: 「头」 waits (头发 is 頭髮), 「我」 does not.
    """

    def __init__(self) -> None:
        self._book = phrasebook()
        self._open = ""
        """Text whose segmentation is undecided."""
        self._shown = ""
        """What of its conversion has been returned already."""

    def push(self, text: str) -> str:
        """New converted text, as far as nothing to come can change it."""
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
        """What was held back; the stream is as new afterwards."""
        new = to_traditional(self._open)[len(self._shown) :]
        self._open = self._shown = ""
        return new


def _decide(book: Phrasebook, text: str) -> tuple[int, str]:
    """How far the segmentation of ``text`` is decided, and what is certain of the conversion after that."""
    at = 0
    while at < len(text):
        step = _step(book, text, at)
        if step == 0:
            break
        at += step
    return at, _certain(book, text[at:])


def _step(book: Phrasebook, text: str, at: int, *, final: bool = False) -> int:
    """Length of the segment at ``at``; 0 if text to come may still change it (unless ``final``)."""
    if not final and text[at:] in book.promises:
        return 0
    if end := book.phrase_at(text, at) - at:
        return end
    unified = "".join(_unified(char) for char in text[at : at + book.longest])
    if not final and len(text) - at <= book.longest and unified in book.taiwan_prefixes:
        return 0
    size = book.taiwan_at(unified)
    # A Taiwan phrase lies wholly between phrases: one that begins inside cuts it short.
    for inside in range(at + 1, at + size):
        if not final and text[inside:] in book.promises:
            return 0
        if book.phrase_at(text, inside) > inside:
            return max(1, book.taiwan_at(unified[: inside - at]))
    return max(1, size)


def _certain(book: Phrasebook, text: str) -> str:
    """The beginning that the conversion of ``text`` has, whatever follows it."""
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
    """As `_certain`, for what is left if the phrase that was hoped for does not come."""
    end, settled = _decide(book, text)
    return to_traditional(text[:end]) + settled


@cache
def _simple(char: str) -> str:
    converted = to_simplified(char)
    return converted if len(converted) == 1 else char


def simplified_characters(text: str) -> str:
    """`to_simplified` character by character: never changes the length, for looking words up."""
    return "".join(map(_simple, text))
