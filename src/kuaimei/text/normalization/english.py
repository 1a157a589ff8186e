"""English normalization of sentences that hold no Chinese."""

import re
from functools import lru_cache
from typing import Final

from num2words import num2words  # type: ignore[import-untyped]

from kuaimei.text.characters import listed
from kuaimei.text.normalization.rules import NUMBER, Rule, apply, rule

__all__ = ["is_english", "read_english"]

_ENGLISH: Final = listed("""
    a the is are was it in at on of to by for from and or with you your my we they this that has have
    about over only than
""")
"""Words that do not occur in a Chinese sentence."""

_UNITS: Final = {
    "km": "kilometers",
    "m": "meters",
    "cm": "centimeters",
    "mm": "millimeters",
    "kg": "kilograms",
    "g": "grams",
    "mg": "milligrams",
    "L": "liters",
    "ml": "milliliters",
    "mL": "milliliters",
    "ms": "milliseconds",
    "MB": "megabytes",
    "GB": "gigabytes",
    "TB": "terabytes",
    "Mbps": "megabits per second",
    "Hz": "hertz",
    "MHz": "megahertz",
    "GHz": "gigahertz",
    "W": "watts",
    "kW": "kilowatts",
    "V": "volts",
    "km/h": "kilometers per hour",
    "mph": "miles per hour",
}
_UNIT: Final = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))
_MONEY: Final = {
    "NT$": "New Taiwan dollars",
    "$": "dollars",
    "US$": "dollars",
    "€": "euros",
    "£": "pounds",
    "¥": "yen",
}
_DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@lru_cache(maxsize=1024)
def _number(text: str) -> str:
    plain = text.replace(",", "").replace("−", "-")
    if "." in plain:
        whole, _, rest = plain.partition(".")
        return f"{_number(whole or '0')} point {_digits(rest)}"
    if len(plain) > 15 or (len(plain) > 1 and plain[0] == "0"):
        return _digits(plain)
    words: str = num2words(int(plain))
    return words.replace(",", "").replace("-", " ")


def _digits(text: str) -> str:
    return " ".join(_DIGITS[int(char)] for char in text if char.isdigit())


@lru_cache(maxsize=256)
def _special(text: str, kind: str) -> str:
    if len(text) > 15:
        return _digits(text)
    words: str = num2words(int(text), to=kind)
    return words.replace(",", "").replace("-", " ")


def _money(match: re.Match[str]) -> str:
    name, number = _MONEY[match[1]], match[2]
    if number.replace(",", "") == "1":
        name = name.removesuffix("s")
    whole, _, cents = number.partition(".")
    if len(cents) == 2 and name == "dollars" and not match[3]:
        return (
            f"{_number(whole)} {name} and {_number(str(int(cents)))} cents"
            if int(cents)
            else f"{_number(whole)} {name}"
        )
    return f"{_number(number)}{match[3] or ''} {name}"


def _clock(match: re.Match[str]) -> str:
    hour, minute = match[1], match[2]
    past = (
        "" if minute == "00" else f" oh {_number(minute[1])}" if minute[0] == "0" else f" {_number(minute)}"
    )
    half = f" {' '.join(match[3].replace('.', '').upper())}" if match[3] else "" if past else " o'clock"
    return f"{_number(str(int(hour)))}{past}{half}"


def _measured(match: re.Match[str]) -> str:
    unit = _UNITS[match[2]]
    if match[1] == "1":
        unit = unit.replace("s per", " per").removesuffix("s") if not unit.endswith("hertz") else unit
    return f"{_number(match[1])} {unit}"


def _letters(match: re.Match[str]) -> str:
    return " ".join(match.group())


_RULES: Final[tuple[Rule, ...]] = (
    rule(r"(?<=\d)\s*[-–]\s*(?=\d)", " to "),
    rule(r"https?://(?:www\.)?([A-Za-z0-9.-]*[A-Za-z0-9])\S*", lambda m: m[1].replace(".", " dot ")),
    rule(
        r"([\w.+-]+)@([\w-]+(?:\.[\w-]+)+)",
        lambda m: f"{m[1].replace('.', ' dot ')} at {m[2].replace('.', ' dot ')}",
    ),
    rule(rf"(NT\$|US\$|[$€£¥])\s*({NUMBER})( (?:thousand|million|billion|trillion))?", _money),
    rule(r"(?<![\d:])(\d{1,2}):([0-5]\d)(?![\d:])(?:\s*([AaPp]\.[Mm]\.|[AaPp][Mm]\b))?", _clock),
    rule(
        r"(?<![\d:.])(\d{1,2})\s*([AaPp])(?:\.[Mm]\.|[Mm]\b)", lambda m: f"{_number(m[1])} {m[2].upper()} M"
    ),
    rule(rf"({NUMBER})\s*%", lambda m: f"{_number(m[1])} percent"),
    rule(rf"(-?{NUMBER})\s*°\s*C\b", lambda m: f"{_number(m[1])} degrees Celsius"),
    rule(rf"(-?{NUMBER})\s*°\s*F\b", lambda m: f"{_number(m[1])} degrees Fahrenheit"),
    rule(rf"(?<![A-Za-z\d.])({NUMBER})\s*({_UNIT})(?![A-Za-z/])", _measured),
    rule(r"(?<![\d.])(\d+)(?:st|nd|rd|th)\b", lambda m: _special(m[1], "ordinal")),
    rule(
        r"(?<![\d.,$])((?:1[1-9]|20)\d\d)(?![\d.,%]\d|\d)(?!\s*(?:people|dollars|words))",
        lambda m: _special(m[1], "year"),
    ),
    rule(r"(?<![\d/])1/2(?![\d/])", "one half"),
    rule(r"(?<![\d/])(\d+)/(\d+)(?![\d/])", lambda m: f"{_number(m[1])} over {_number(m[2])}"),
    rule(r"(?<![A-Za-z.])(?:[A-Za-z]\.){2,}", lambda m: " ".join(m.group().replace(".", "").upper())),
    rule(r"(?<=[A-Z])[ -]?([1-9]\d)([1-9]\d)(?!\d)", lambda m: f" {_number(m[1])} {_number(m[2])}"),
    rule(rf"(?<=[A-Za-z])-?({NUMBER})", lambda m: f" {_number(m[1])}"),
    rule(rf"({NUMBER})(?=[A-Za-z])", lambda m: f"{_number(m[1])} "),
    rule(rf"(?<!\w)[-−]({NUMBER})", lambda m: f"minus {_number(m[1])}"),
    rule(NUMBER, lambda m: _number(m.group())),
    rule(r"\s*&\s*", " and "),
    rule(r"\s*\+\s*", " plus "),
    rule(r"\s*=\s*", " equals "),
    rule(r"[*_#@^|\\<>`°~]", " "),
    rule(
        r"(?<![A-Za-z])(?!(?:NASA|NATO|RAM|ROM|OK)\b)(?:[B-DF-HJ-NP-TV-Z]{2,5}|[A-Z]{2,3}|OK)(?![A-Za-z'’])",
        _letters,
    ),
    rule(r"\s{2,}", " "),
)


def is_english(text: str) -> bool:
    """Return whether a text without Chinese is an English sentence, not just a name, price or unit."""
    words = [word for word in re.findall(r"(?<![@./\w])[A-Za-z]+(?![@./:]\S)", text) if word not in _UNITS]
    plain = [word for word in words if word.islower() and len(word) > 1 and word not in ("am", "pm")]
    if len(plain) > 1 or "I" in words or any(word.lower() in _ENGLISH for word in words if word != "A"):
        return True
    return len(words) > 2 and any(len(word) > 2 for word in plain)


def read_english(text: str) -> str:
    """Convert numbers, money, times and units of an English sentence to words."""
    return apply(_RULES, text).strip()
