"""Latin letters in a Chinese sentence: words, spelled abbreviations, and model numbers."""

import re
from typing import Final

from kuaimei.text.characters import listed
from kuaimei.text.normalization.rules import Rule, rule
from kuaimei.text.numbers import cardinal, digits

__all__ = ["LETTERS", "MODELS"]

_WORDS: Final = listed("""
    NASA NATO RAM ROM LINE APP JSON COVID IKEA PIN SIM WIFI TOEIC TOEFL LOHAS SARS AIDS OPEC UNESCO UNICEF
    FIFA ASAP GIF YAML TOML CUDA LASER RADAR SOHO NOT AND OR THE YES NO HELLO HI BYE NEW LIVE SALE FREE OPEN
    STOP
    GO UBER BLOG COSTCO ASUS ACER SONY DELL INTEL GOOGLE APPLE FACEBOOK AMAZON TESLA NIKE LEGO UNIQLO
    KPOP POP ROCK
""")
"""Words that are spoken as words although they are written in capitals."""
_SAID: Final = {"vs": "V S", "VS": "V S", "ok": "O K", "Ok": "O K", "pc": "P C", "tv": "T V", "PhD": "P H D"}


def _model(match: re.Match[str]) -> str:
    """Read a number that belongs to a Latin name: RTX 4090, iPhone 15, H100, Python 3.11, GPT-4o."""
    tail = match["tail"]
    numbers = " ".join(map(_model_number, match["number"].split("-")))
    return f"{match['name']} {numbers}{f' {tail.upper() if len(tail) == 1 else tail}' if tail else ''}"


def _model_number(number: str) -> str:
    """Read up to two digits, and full hundreds or thousands, as amounts (H100, iPhone 15), else by digit."""
    whole, *rest = number.split(".")
    padded = whole.startswith("0")
    if (len(whole) <= 2 or re.fullmatch(r"[1-9]000?", whole)) and not padded:
        return "點".join((cardinal(int(whole)), *map(digits, rest)))
    return "點".join(map(digits, (whole, *rest)))


def _spelled(match: re.Match[str]) -> str:
    word = match.group()
    if word in _SAID:
        return _SAID[word]
    if word in _WORDS:
        return word.capitalize()
    if len(word) == 1:
        return word.upper()
    if word.isupper():
        return " ".join(word) if 2 <= len(word) <= 5 or not re.search("[AEIOUY]", word) else word
    if plural := re.fullmatch(r"([A-Z]{2,5})s", word):
        return " ".join(plural[1])
    return _camel(word)


def _camel(word: str) -> str:
    """Spell the capitals of a mixed word: ChatGPT → Chat G P T, OpenAI → Open A I; YouTube stays."""
    if found := re.fullmatch(r"([a-z]|[A-Za-z]?[a-z]+)([A-Z]{2,5})s?", word):
        head = found[1].upper() if len(found[1]) == 1 else found[1]
        tail = found[2].capitalize() if found[2] in _WORDS else " ".join(found[2])
        return f"{head} {tail}"
    if found := re.fullmatch(r"([A-Z]{2,4})([A-Z][a-z]{2,})", word):
        return f"{' '.join(found[1])} {found[2]}"
    return word


MODELS: Final[tuple[Rule, ...]] = (
    rule(r"(?<![A-Za-z])e\.g\.,?", "例如"),
    rule(r"(?<![A-Za-z])i\.e\.,?", "也就是"),
    rule(r"(?<![A-Za-z])etc\.", "等等"),
    rule(r"(?<![A-Za-z])vs\.", "V S"),
    rule(r"(?<![A-Za-z.])(?:[A-Za-z]\.){2,}", lambda m: " ".join(m.group().replace(".", "").upper()) + " "),
    rule(r"(?<![A-Za-z])C\+\+", "C 加加"),
    rule(r"(?<![A-Za-z])C#", "C sharp"),
    rule(r"(?<![A-Za-z])C/P", "C P"),
    rule(r"(?<![A-Za-z])([A-F])\+(?![\dA-Za-z+])", r"\1 加"),
    rule(r"(?<![A-Za-z])([A-F])[-−](?=[\u4e00-\u9fff，。！？、]|$)", r"\1 減"),
    rule(r"(?<![\d.,A-Za-z])(\d{3,4})[pP](?![A-Za-z])", lambda m: f"{digits(m[1])} P"),
    rule(
        r"(?P<name>[A-Za-z][A-Za-z]*)(?:\s|-)?(?P<number>\d+(?:\.\d+)*(?:-\d+(?![\d./:]))*)(?P<tail>[A-Za-z]{1,2}(?![A-Za-z]))?"
        r"(?![\d,:/%]|\.\d|\s*[°℃年月日個點分秒元塊天人次歲%])",
        _model,
    ),
    rule(
        r"(?<![\d.,A-Za-z])(\d{1,2})([A-Za-z])(?![A-Za-z0-9])",
        lambda m: f"{cardinal(int(m[1]))} {m[2].upper()}",
    ),
)

LETTERS: Final[tuple[Rule, ...]] = (
    rule(r"(?<=[A-Za-z])\s*&\s*(?=[A-Za-z])", " and "),
    rule(r"[A-Za-z]+(?:['’][a-z]+)?", _spelled),
)
