"""Converts mixed Mandarin and English text to the phonemes Kokoro was trained on."""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kuaimei.engines.tts.kokoro.g2p_en import English
from kuaimei.engines.tts.kokoro.g2p_zh import HAN, load_mandarin
from kuaimei.text.lexicon import load_lexicon
from kuaimei.text.normalization import normalize_text
from kuaimei.text.script import to_simplified

__all__ = ["Phonemes", "load_phonemes"]

_MARKS: Final = str.maketrans(
    {
        **dict.fromkeys("、，､", ", "),
        **dict.fromkeys("。．｡", ". "),
        **dict.fromkeys("！", "! "),
        **dict.fromkeys("？", "? "),
        **dict.fromkeys("：", ": "),
        **dict.fromkeys("；", "; "),
        **dict.fromkeys("「『《〈【“«", " “"),
        **dict.fromkeys("」』》〉】”»", "” "),
        **dict.fromkeys("（", " ("),
        **dict.fromkeys("）", ") "),
        **dict.fromkeys("⋯", "…"),
        **dict.fromkeys("–―─", "—"),
        **dict.fromkeys("~～·・‧_*#`|", " "),
    }
)
_HAN_OR_OTHER: Final = re.compile(f"(?P<han>[{HAN}]+)|(?P<other>[^{HAN}]+)")
_PARAGRAPH: Final = re.compile(r"(?<=[^\s。！？；：，、.!?;:,—…])[^\S\n]*\n\s*")
_DOTS: Final = re.compile(r"\.{2,}")
_CLOSING: Final = tuple(';:,.!?—…")”')
_OPENING: Final = tuple("(“")


class Phonemes:
    """Converts text as on the screen to phonemes.

    Args:
        mandarin: For runs of Simplified characters.
        english: For everything else.
        read: Writes out numbers, dates and the like in characters.
    """

    def __init__(
        self, mandarin: Callable[[str], str], english: Callable[[str], str], read: Callable[[str], str]
    ) -> None:
        self._mandarin = mandarin
        self._english = english
        self._read = read

    def __call__(self, text: str) -> str:
        """Return the phonemes of ``text``; empty if nothing in it can be spoken."""
        text = self._read(_PARAGRAPH.sub("。", text.strip()))
        text = unicodedata.normalize("NFKC", to_simplified(text).translate(_MARKS))
        text = _DOTS.sub("… ", text)
        joined = ""
        for run in _HAN_OR_OTHER.finditer(text):
            said = self._mandarin(run["han"]) if run["han"] else self._english(run["other"])
            if not said:
                continue
            tight = not joined or said.startswith(_CLOSING) or joined.endswith(_OPENING)
            joined += said if tight else f" {said}"
        return joined if any(char.isalpha() for char in joined) else ""


def load_phonemes(lexicon: Path | None) -> Phonemes:
    """Load both languages, with the user's ``lexicon`` file if there is one; takes 1 to 3 s.

    Raises:
        SettingsError: If the lexicon has a bad line.
    """
    words = load_lexicon(lexicon)
    return Phonemes(load_mandarin(words), English(), lambda text: normalize_text(text, words))
