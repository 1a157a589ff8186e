"""Numbers in words, as said in Taiwan: 兩百, 一萬零五十, 三點一四, 負五."""

from typing import Final

__all__ = ["cardinal", "counted", "decimal", "digits"]

_DIGITS: Final = "零一二三四五六七八九"
_SMALL: Final = ("", "十", "百", "千")
_LARGE: Final = ("", "萬", "億", "兆", "京")


def digits(text: str) -> str:
    """Read ``text`` digit by digit; other characters are kept."""
    return "".join(_DIGITS[int(char)] if char in "0123456789" else char for char in text)


def _group(value: int, *, leading: bool) -> str:
    """Read 1 to 9999; ``leading``: nothing precedes it (then 10 is 十, not 一十)."""
    out = ""
    zero = False
    for power in (3, 2, 1, 0):
        digit = value // 10**power % 10
        if digit == 0:
            zero = bool(out)
            continue
        if zero:
            out += "零"
            zero = False
        if digit == 1 and power == 1 and not out and leading:
            out += "十"
        else:
            out += ("兩" if digit == 2 and power >= 2 else _DIGITS[digit]) + _SMALL[power]
    return out


def cardinal(value: int) -> str:
    """Read ``value`` in words: 0 → 零, 12 → 十二, 200 → 兩百, 10050 → 一萬零五十, 20000 → 兩萬.

    From 10^20 on it is read digit by digit.
    """
    if value < 0:
        return "負" + cardinal(-value)
    if value == 0:
        return "零"
    if value >= 10**20:
        return digits(str(value))
    groups = []
    rest = value
    while rest:
        rest, low = divmod(rest, 10_000)
        groups.append(low)
    out = ""
    gap = False
    for power in range(len(groups) - 1, -1, -1):
        group = groups[power]
        if group == 0:
            gap = bool(out)
            continue
        if out and (gap or group < 1000):
            out += "零"
        gap = False
        words = "兩" if group == 2 and power else _group(group, leading=not out)
        out += words + _LARGE[power]
    return out


def counted(value: int) -> str:
    """Read ``value`` before a measure word: 2 is 兩, all others as in `cardinal`."""
    return "兩" if value == 2 else cardinal(value)


def decimal(text: str) -> str:
    """Read a number as written, with sign, thousands separators and decimal point.

    「-1,234.50」 is 負一千兩百三十四點五零; a whole part with leading zeros, or with more than 20 digits, is
    read digit by digit.
    """
    text = text.replace(",", "").replace("−", "-")
    if text.startswith("-"):
        return "負" + decimal(text[1:])
    whole, point, fraction = text.removeprefix("+").partition(".")
    padded = len(whole) > 1 and whole.startswith("0")
    head = digits(whole) if padded or len(whole) > 20 else cardinal(int(whole or "0"))
    return f"{head}點{digits(fraction)}" if point and fraction else head
