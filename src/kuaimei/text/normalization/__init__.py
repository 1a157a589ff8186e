"""zh-TW text normalization: a written clause in the words in which it is spoken."""

import re
from typing import Final, Literal

from kuaimei.text.characters import is_han, is_unspeakable
from kuaimei.text.lexicon import Lexicon
from kuaimei.text.normalization.dates import DATES
from kuaimei.text.normalization.english import is_english, read_english
from kuaimei.text.normalization.formulas import NUMBERS, RATIOS, SUMS
from kuaimei.text.normalization.latin_words import LETTERS, MODELS
from kuaimei.text.normalization.money import MONEY
from kuaimei.text.normalization.phone_numbers import PHONES
from kuaimei.text.normalization.rules import Rule, apply, rule
from kuaimei.text.normalization.units import UNITS
from kuaimei.text.normalization.urls import WEB

__all__ = ["normalize_text"]

_NARROW: Final = {
    **{
        code: code - 0xFEE0
        for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
    },
    **{0x2460 + n: str(n + 1) for n in range(20)},
    **str.maketrans("％＄＋＝／＠＆＃〇○", "%$+=/@&#零零"),
    **str.maketrans(
        {
            "㎡": "m²",
            "㎞": "km",
            "㎝": "cm",
            "㎜": "mm",
            "㎏": "kg",
            "㎎": "mg",
            "㏄": "cc",
            "℃": "°C",
            "℉": "°F",
        }
    ),
}
_BETWEEN_DIGITS: Final[tuple[Rule, ...]] = (
    rule(r"(?<=\d)：(?=\d)", ":"),
    rule(r"(?<=\d)．(?=\d)", "."),
    rule(r"(?<=\d)，(?=\d{3}(?!\d))(?<=\d{1}，)(?=\d{3}[，元])", ","),
    rule(r"(?<=\d)[－﹣‐‑](?=\d)", "-"),
)
_SIGNS: Final[tuple[Rule, ...]] = (
    rule(r"\s*[→⇒]\s*", "到"),
    rule(r"(?<=[\u4e00-\u9fff])\s*[/／]\s*(?=[\u4e00-\u9fff])", "、"),
    rule(r"(?<=[\u4e00-\u9fff])\s*\+\s*(?=[\u4e00-\u9fffA-Za-z])", "加"),
    rule(r"\s*&\s*", "和"),
    rule(r"(?<=[\u4e00-\u9fffA-Za-z])\s*=\s*(?=[\u4e00-\u9fffA-Za-z])", "等於"),
    rule(r"(?<=[\u4e00-\u9fff])[-–](?=[\u4e00-\u9fff])", "到"),
    rule(r"[~～]+(?=[，。！？\s]|$)", ""),
    rule(r"[~～]+", "到"),
    rule(r"[*_#@^|\\<>=`°•·→←↔©®™$]", " "),
    rule(r"\s+", " "),
    rule(r"(?<=[\u3400-\u9fff，。！？；：、]) (?=[，。！？；：、])", ""),
)
_LONGEST: Final = 400
"""Longer texts are processed in pieces: some rules take time quadratic in the length."""
_PIECES: Final = re.compile(rf"[\s\S]{{1,{_LONGEST}}}(?<=[。！？；，\n ])|[\s\S]{{1,{_LONGEST}}}")
_TO_DO: Final = re.compile(r"[^\u3400-\u9fff，。！？；：、「」『』（）“”…\n]")
"""Characters that need normalization; a text without any is returned unchanged."""


def normalize_text(
    text: str, lexicon: Lexicon | None = None, *, language: Literal["zh", "en"] | None = None
) -> str:
    """Convert ``text`` to the words that are spoken in Taiwan.

    Numbers, dates, times, money, telephone numbers, units and symbols become words; emoji are removed;
    English words stay, abbreviations are spelled letter by letter (「AI」 → 「A I」). An English sentence
    without any Chinese is read in English.

    Args:
        text: A clause or more in Traditional Chinese and/or English, as on the screen.
        lexicon: Its ``replacements`` are applied first.
        language: Language of the numbers; None: English if the text is an English sentence without any
            Chinese, else Chinese.
    """
    if len(text) > _LONGEST:
        return " ".join(normalize_text(piece, lexicon, language=language) for piece in _PIECES.findall(text))
    if lexicon is not None:
        text = lexicon.replace(text)
    if not _TO_DO.search(text):
        return text
    text = "".join(char for char in text.translate(_NARROW) if not is_unspeakable(char))
    text = apply(_BETWEEN_DIGITS, text)
    if language == "en" or (language is None and not any(map(is_han, text)) and is_english(text)):
        return read_english(text)
    for rules in (WEB, PHONES, RATIOS, DATES, MONEY, UNITS, SUMS, MODELS, NUMBERS, LETTERS, _SIGNS):
        text = apply(rules, text)
    return text.strip()
