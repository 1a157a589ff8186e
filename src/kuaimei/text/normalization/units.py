"""Normalization of percentages, temperatures, and units of measurement."""

import re
from typing import Final

from kuaimei.text.normalization.rules import NOT_INSIDE_WORD, NUMBER, RANGE, TO, Rule, rule, span

__all__ = ["UNITS"]

_UNITS: Final = {
    "km": "公里",
    "m": "公尺",
    "cm": "公分",
    "mm": "公釐",
    "μm": "微米",
    "um": "微米",
    "nm": "奈米",
    "km²": "平方公里",
    "km2": "平方公里",
    "m²": "平方公尺",
    "m2": "平方公尺",
    "cm²": "平方公分",
    "m³": "立方公尺",
    "m3": "立方公尺",
    "cm³": "立方公分",
    "ha": "公頃",
    "ft": "英尺",
    "in": "英吋",
    "inch": "英吋",
    "mi": "英里",
    "lb": "磅",
    "lbs": "磅",
    "oz": "盎司",
    "kg": "公斤",
    "g": "公克",
    "mg": "毫克",
    "μg": "微克",
    "L": "公升",
    "l": "公升",
    "mL": "毫升",
    "ml": "毫升",
    "cc": " C C",
    "CC": " C C",
    "ms": "毫秒",
    "s": "秒",
    "sec": "秒",
    "min": "分鐘",
    "mins": "分鐘",
    "h": "小時",
    "hr": "小時",
    "hrs": "小時",
    "kW": "千瓦",
    "W": "瓦",
    "MW": "百萬瓦",
    "kWh": "度電",
    "V": "伏特",
    "mAh": "毫安培小時",
    "mA": "毫安培",
    "Hz": "赫茲",
    "kHz": "千赫茲",
    "MHz": "百萬赫茲",
    "GHz": " G 赫茲",
    "dB": "分貝",
    "kcal": "大卡",
    "cal": "卡",
    "hPa": "百帕",
    "kPa": "千帕",
    "Pa": "帕",
    "px": "像素",
    **{unit: " " + " ".join(unit) for unit in ("KB", "MB", "GB", "TB", "FPS")},
    **{unit: " " + " ".join(unit.upper()) for unit in ("kbps", "Mbps", "Gbps", "fps", "ppm", "dpi")},
}
"""Written unit → spoken unit; those with a leading space are spelled."""
_SPEEDS: Final = {
    "km/h": ("時速", "公里"),
    "km/hr": ("時速", "公里"),
    "kph": ("時速", "公里"),
    "mph": ("時速", "英里"),
    "m/s": ("每秒", "公尺"),
    "km/s": ("每秒", "公里"),
    "rpm": ("每分鐘", "轉"),
    "MB/s": ("每秒", " M B"),
    "GB/s": ("每秒", " G B"),
}
_ANY: Final = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))
_ANY_SPEED: Final = "|".join(re.escape(unit) for unit in sorted(_SPEEDS, key=len, reverse=True))


def _percent(match: re.Match[str]) -> str:
    low, high = match["low"], match["high"]
    if high is None and low == "100":
        return "百分之百"
    minus = "負" if low[0] in "-−" else ""
    whole = "千分之" if match["sign"] == "‰" else "百分之"
    words = span(match, "")
    return f"{minus}{whole}{words.removeprefix('負')}"


def _temperature(match: re.Match[str]) -> str:
    scale = {"C": "攝氏", "F": "華氏"}.get(match["scale"] or "", "")
    words = span(match, "度").replace("負", "零下")
    return f"{scale}{words}度"


def _measured(match: re.Match[str]) -> str:
    unit = _UNITS[match["unit"]]
    per = "每" if match["per"] else ""
    return span(match, unit if unit[0] != " " else "個") + unit + per


def _speed(match: re.Match[str]) -> str:
    before, after = _SPEEDS[match["unit"]]
    return before + span(match, "公里") + after


UNITS: Final[tuple[Rule, ...]] = (
    rule(
        rf"{NOT_INSIDE_WORD}(?P<low>[-−+]?{NUMBER})(?:[%％]?{TO}(?P<high>{NUMBER}))?\s*(?P<sign>[%％‰])",
        _percent,
    ),
    rule(rf"{NOT_INSIDE_WORD}{RANGE}\s*°\s*(?P<scale>[CF])(?![A-Za-z])", _temperature),
    rule(rf"{NOT_INSIDE_WORD}{RANGE}\s*度(?P<scale>[CF])(?![A-Za-z])", _temperature),
    rule(rf"{NOT_INSIDE_WORD}{RANGE}\s*°(?P<scale>)(?![A-Za-z])", _temperature),
    rule(rf"{NOT_INSIDE_WORD}{RANGE}\s*(?P<unit>{_ANY_SPEED})(?![A-Za-z])", _speed),
    rule(
        rf"{NOT_INSIDE_WORD}{RANGE}\s*(?P<unit>{_ANY})(?![A-Za-z²³\d])(?P<per>/(?=[\u4e00-\u9fff]))?",
        _measured,
    ),
    rule(
        rf"{NOT_INSIDE_WORD}{RANGE}(?P<unit>[\"″])(?=[\u4e00-\u9fff]|\s|$)(?P<per>)",
        lambda m: span(m, "吋") + "吋",
    ),
)
