"""Common parts of all normalization rules: their form, number patterns, and 兩 before measure words."""

import re
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from kuaimei.text.numbers import decimal

__all__ = ["NOT_INSIDE_WORD", "NUMBER", "RANGE", "TO", "Rule", "amount", "apply", "rule", "span"]

Rule: TypeAlias = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]
"""A pattern and the function that reads a match; rules are applied in order."""

NOT_INSIDE_WORD: Final = r"(?<![\d.,A-Za-z])"
"""Lookbehind for a position that is not inside a number or a Latin word."""
NUMBER: Final = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
TO: Final = r"\s*(?:[-–~～至到]|—)\s*"
RANGE: Final = rf"(?P<low>[-−]?{NUMBER})(?:{TO}(?P<high>[-−]?{NUMBER}))?"
"""A number, or two with 「to」 between them; groups ``low`` and ``high``."""

_MEASURE: Final = re.compile(
    r"\s*(?:[個隻只位名人天週周次倍本張塊元圓角毛件條顆杯瓶碗盤罐包袋盒箱台臺部輛棟間座家所組套雙對副把支枝根片"
    r"頁份篇首句字種類項點分秒歲年吋呎磅噸克升瓦伏卡桶匙滴層道題局場步趟遍回下番頓群隊批排串束棵朵粒匹頭尾隊"
    r"百千萬億兆兩]|斤|公[里尺分斤克升釐頃噸畝]|小時|分鐘|秒鐘|星期|禮拜|平方|立方|英[里尺吋鎊]|毫[升克秒米]|美[元金]|歐元|日[圓元]"
    r"|港[幣元]|人民幣|度(?!假)|坪|甲|票|勝|敗|者|邊|側|端|方|國|岸|黨|億)"
)
_NO_PAIR: Final = re.compile(
    r"\s*(?:年級|樓|分之|點[零一二三四五六七八九\d]|月|日|號|兩|位數|項式|人稱|元論|頭肌|次方|段)"
)
"""Words before which 2 is 二."""


def rule(pattern: str, read: Callable[[re.Match[str]], str] | str) -> Rule:
    """Create a rule from a pattern (no verbose flag) and a function or a template."""
    if isinstance(read, str):
        template = read
        return re.compile(pattern), lambda match: match.expand(template)
    return re.compile(pattern), read


def apply(rules: Iterable[Rule], text: str) -> str:
    """Apply all ``rules`` to ``text`` in order."""
    for pattern, read in rules:
        text = pattern.sub(read, text)
    return text


def amount(number: str, following: str = "") -> str:
    """Read a written number as an amount of what follows it: 「2」 before 「個」 is 兩."""
    plain = number.lstrip("+-−")
    if plain == "2" and _MEASURE.match(following) and not _NO_PAIR.match(following):
        return "負兩" if number[0] in "-−" else "兩"
    return decimal(number)


def span(match: re.Match[str], following: str) -> str:
    """Read the number or range matched by `RANGE`: 三到五."""
    high = match["high"]
    low = amount(match["low"], following)
    return f"{low}到{amount(high, following)}" if high else low
