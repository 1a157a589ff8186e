"""Normalization of dates and times of day."""

import re
from typing import Final

from kuaimei.text.normalization.rules import Rule, rule
from kuaimei.text.numbers import cardinal, digits

__all__ = ["DATES"]

_DAY: Final = r"(?P<month>0?[1-9]|1[0-2])[/](?P<day>0?[1-9]|[12]\d|3[01])"
_DAY_CONTEXT: Final = (
    r"(?=\s*(?:[（(]\s*(?:星期|週|周|禮拜)?[一二三四五六日]\s*[)）]|星期|禮拜|週[一二三四五六日]|上午|下午|早上|晚上|中午|凌晨"
    r"|當天|當日|之前|以前|前|後|起|止|截止|開始|開幕|出發|生日|[日號]))"
)
_DENOMINATORS: Final = frozenset({2, 3, 4, 5, 6, 8, 10, 16, 100})
"""Numbers after a slash that make a fraction unless the context makes it a date."""
_HALVES: Final = {"am": "上午", "pm": "下午"}


def _year(text: str) -> str:
    return digits(text) if len(text) == 4 else cardinal(int(text))


def _full(match: re.Match[str]) -> str:
    day = f"{cardinal(int(match['day']))}日" if match["day"] else ""
    return f"{_year(match['year'])}年{cardinal(int(match['month']))}月{day}"


def _month_day(match: re.Match[str]) -> str:
    before = match.string[: match.start()]
    until = "到" if re.search(r"[月日][-–~～]$", before) else ""
    return f"{until}{cardinal(int(match['month']))}月{cardinal(int(match['day']))}日"


def _likely_day(match: re.Match[str]) -> str:
    """Read two numbers around a slash as a date, unless they are likely a fraction."""
    month, day = int(match["month"]), int(match["day"])
    return match.group() if month < day and day in _DENOMINATORS else _month_day(match)


def _minutes(minute: int) -> str:
    if minute == 0:
        return ""
    return f"{'零' if minute < 10 else ''}{cardinal(minute)}分"


def _hour(hour: int) -> str:
    return "兩" if hour == 2 else cardinal(hour)


def _clock(match: re.Match[str]) -> str:
    hour, minute = int(match["hour"]), int(match["minute"])
    second = int(match["second"]) if match["second"] else None
    text = f"{_hour(hour)}點{_minutes(minute)}"
    if second is not None:
        text += f"{'' if minute else '零分'}{cardinal(second)}秒"
    return _half_of_day(match["half"], hour) + text


def _half_of_day(half: str | None, hour: int) -> str:
    if not half:
        return ""
    half = half.replace(".", "").lower()
    if hour == 12:
        return "中午" if half == "pm" else "凌晨"
    return _HALVES[half]


def _on_the_hour(match: re.Match[str]) -> str:
    hour = int(match["hour"])
    return f"{_half_of_day(match['half'], hour)}{_hour(hour)}點"


def _weekday(match: re.Match[str]) -> str:
    first, last = ("日" if day == "7" else cardinal(int(day)) if day else "" for day in (match[2], match[3]))
    return f"{match[1]}{first}{f'到{last}' if last else ''}"


_TIME: Final = (
    r"(?<![\d:.])(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?(?![\d:]|\.\d)"
)
_HALF: Final = r"(?P<half>[AaPp]\.?[Mm]\.?)"

DATES: Final[tuple[Rule, ...]] = (
    rule(
        r"(?<![\d/.-])(?P<year>[12]\d{3}|1\d\d)(?P<sep>[/.-])(?P<month>0?[1-9]|1[0-2])(?P=sep)"
        r"(?P<day>0?[1-9]|[12]\d|3[01])(?![\d/]|[.-]\d)",
        _full,
    ),
    rule(r"(?<![\d/.-])(?P<year>(?:19|20)\d\d)/(?P<month>0?[1-9]|1[0-2])(?P<day>)(?![\d/])", _full),
    rule(rf"(?<=[在於到至從自是])\s*{_DAY}(?![\d/])", _month_day),
    rule(
        r"(?<![\d/.])(?P<month>1[0-2]|0?[1-9])/(?P<day>[12]\d|3[01]|0?[1-9])(?=[-–~～]\d{1,2}/)",
        _month_day,
    ),
    rule(rf"(?<=[月日][-–~～]){_DAY}(?![\d/])", _month_day),
    rule(r"(?<=日)[-–~～](?=到)", ""),
    rule(rf"(?<![\d/.]){_DAY}(?![\d/]){_DAY_CONTEXT}[日號]?", _month_day),
    rule(rf"(?<![\d/.]){_DAY}(?![\d/]|\.\d)", _likely_day),
    rule(
        r"(?<![\d.,])([12]\d{3})(?=\s*年(?![前後來間]|歷史|的歷史|以[上前後]|之[前後]|古|老))",
        lambda m: digits(m[1]),
    ),
    rule(
        r"(?<![\d.,])((?:19|20)\d\d)(?=\s*(?:年度|學年|世界盃|奧運|亞運|賽季|新年|跨年|大選|總統))",
        lambda m: digits(m[1]),
    ),
    rule(r"(?<=[月])\s*(0?[1-9]|[12]\d|3[01])(?=\s*[日號])", lambda m: cardinal(int(m[1]))),
    rule(r"(?<!\d)(0?[1-9]|1[0-2])(?=\s*月(?!球))", lambda m: cardinal(int(m[1]))),
    rule(
        r"(?<!每)(星期|週|禮拜)\s?([1-7])(?:\s*[-~～–]\s*(?:星期|週|禮拜)?([1-7]))?(?![\d.%]|\s*[次天個小年分秒篇本場堂])",
        _weekday,
    ),
    rule(rf"{_HALF}\s*{_TIME}", _clock),
    rule(rf"{_TIME}(?:\s*{_HALF}(?![A-Za-z]))?", _clock),
    rule(rf"(?<![\d:.,])(?P<hour>0?[1-9]|1[0-2])\s*{_HALF}(?![A-Za-z])", _on_the_hour),
    rule(r"(?<=[點分])[-–~～](?=[零一二兩三四五六七八九十])", "到"),
    rule(r"(?<=點)\s*0?([1-9])\s*分(?!之)", lambda m: f"零{cardinal(int(m[1]))}分"),
    rule(r"(?<![\d.,:])(0?2)\s*(?=點(?!\d))", "兩"),
)
