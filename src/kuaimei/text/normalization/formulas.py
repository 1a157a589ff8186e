"""Normalization of formulas, ratios, fractions, ranges, and plain numbers."""

import re
from typing import Final

from kuaimei.text.normalization.rules import NUMBER, Rule, amount, rule
from kuaimei.text.numbers import cardinal, decimal, digits

__all__ = ["NUMBERS", "RATIOS", "SUMS"]

_OPERATORS: Final = {
    **dict.fromkeys("+＋", "加"),
    **dict.fromkeys("-−–", "減"),
    **dict.fromkeys("×*x", "乘以"),
    **dict.fromkeys("÷/", "除以"),
    **dict.fromkeys("=＝", "等於"),
    "≈": "約等於",
    "≠": "不等於",
    ">": "大於",
    "<": "小於",
    "≥": "大於等於",
    "≤": "小於等於",
}
_TERM: Final = rf"(?:[-−]?{NUMBER}(?:[a-z](?![a-z]))?|[A-Za-z](?![A-Za-z])|[?？])"
_SUM: Final = re.compile(rf"({NUMBER}|[A-Za-z]+|[?？])|([{re.escape(''.join(_OPERATORS))}])")


def _sum(match: re.Match[str]) -> str:
    """Read a formula term by term; a minus at its start or after an operator is a sign."""
    out: list[str] = []
    tokens = _SUM.findall(match.group())
    value_before = False
    for index, (term, operator) in enumerate(tokens):
        number_next = index + 1 < len(tokens) and tokens[index + 1][0][:1].isdigit()
        if term == "x" and value_before and number_next:
            term, operator = "", "×"
        if operator:
            out.append(_OPERATORS[operator] if value_before else "負")
        else:
            out.append("多少" if term in "?？" else decimal(term) if term[0].isdigit() else f" {term} ")
        value_before = not operator
    return "".join(out)


def _term(term: str) -> str:
    return decimal(term) if term[0].isdigit() else f" {' '.join(term.upper())} "


def _value(number: str) -> float:
    return float(number.replace(",", "").replace("−", "-"))


def _between(match: re.Match[str]) -> str:
    """Read two numbers with a hyphen: 「3-5」 is a range, 「5-3」 a difference."""
    low, high = match["low"], match["high"]
    following = match.string[match.end() :]
    if match["sign"] in "-–" and _value(low) > _value(high):
        return f"{decimal(low)}減{decimal(high)}"
    return f"{amount(low, following)}到{amount(high, following)}"


def _resolution(match: re.Match[str]) -> str:
    return "乘".join(digits(part) if len(part) > 2 else cardinal(int(part)) for part in (match[1], match[2]))


def _plain(match: re.Match[str]) -> str:
    following = match.string[match.end() :]
    number = match["number"]
    sign = match["sign"] or ""
    if number.startswith("."):
        number = f"0{number}"
    if sign == "+":
        sign = ""
    if match.string[: match.start()].endswith("第"):
        return decimal(number)
    return amount(sign + number, following)


def _power(match: re.Match[str]) -> str:
    return f"{decimal(match[1])}的{decimal(match[2])}次方"


RATIOS: Final[tuple[Rule, ...]] = (
    rule(
        r"(?<=[比以數分率例])(\s*(?:是|為|：|:)?\s*)(\d+)\s*[:：-]\s*(\d+)(?!\d)",
        lambda m: f"{m[1]}{decimal(m[2])}比{decimal(m[3])}",
    ),
)
"""Scores and ratios that could be taken for times of day."""

SUMS: Final[tuple[Rule, ...]] = (
    rule(r"24/7", "全年無休"),
    rule(r"(?<!\d)7-(?:11|ELEVEN|Eleven|eleven)(?![\d年月日天個人元點分])", " seven eleven "),
    rule(rf"(?<![A-Za-z\d.])({NUMBER})\s*\^\s*(\d+)", _power),
    rule(
        rf"({NUMBER}|(?<![A-Za-z])[A-Za-z])²",
        lambda m: (decimal(m[1]) if m[1][0].isdigit() else m[1]) + "平方",
    ),
    rule(
        rf"({NUMBER}|(?<![A-Za-z])[A-Za-z])³",
        lambda m: (decimal(m[1]) if m[1][0].isdigit() else m[1]) + "立方",
    ),
    rule(r"(?<!\d)(\d{3,4})\s*[x×*]\s*(\d{3,4})(?!\d)", _resolution),
    rule(
        rf"(?<![A-Za-z\d.]){_TERM}(?:\s*[-−+＋×*÷/x]\s*{_TERM})*\s*[=＝≈≠≥≤]\s*{_TERM}(?:\s*[-−+＋×*÷/=]\s*{_TERM})*(?![A-Za-z\d])",
        _sum,
    ),
    rule(rf"(?<![A-Za-z\d.]){NUMBER}(?:\s*[+＋×*÷]\s*[-−]?{NUMBER})+", _sum),
    rule(rf"(?<![A-Za-z\d.]){NUMBER}\s*x\s*{NUMBER}(?![A-Za-z\d])", _sum),
    rule(rf"(?<![A-Za-z\d.]){NUMBER}\s*[><]\s*{NUMBER}", _sum),
    rule(rf"±\s*({NUMBER})", lambda m: "正負" + decimal(m[1])),
    rule(rf"√\s*({NUMBER})", lambda m: "根號" + decimal(m[1])),
)

NUMBERS: Final[tuple[Rule, ...]] = (
    rule(rf"(?<![\dA-Za-z])[×x]\s*({NUMBER})", lambda m: f"乘以{decimal(m[1])}"),
    rule(rf"({NUMBER})\s*[×x](?![\dA-Za-z])", lambda m: f"{amount(m[1], '倍')}倍"),
    rule(rf"({NUMBER})\+(?![\dA-Za-z])", lambda m: f"{amount(m[1], '個')}以上"),
    rule(
        r"(?<![\d:.])(\d+(?:\.\d+)?)\s*[:：]\s*(\d+(?:\.\d+)?)(?![\d:])",
        lambda m: f"{decimal(m[1])}比{decimal(m[2])}",
    ),
    rule(
        r"(?<![\d/.])(\d+)\s*又\s*(\d+)/(\d+)(?![\d/])",
        lambda m: f"{decimal(m[1])}又{decimal(m[3])}分之{decimal(m[2])}",
    ),
    rule(r"(?<![\d/.A-Za-z])(\d+)/(\d+)(?![\d/]|\.\d)", lambda m: f"{decimal(m[2])}分之{decimal(m[1])}"),
    rule(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])", lambda m: digits(m[1]).replace(".", "點")),
    rule("½", "二分之一"),
    rule("¼", "四分之一"),
    rule("¾", "四分之三"),
    rule(r"(?<![\d.A-Za-z])(\d+)-(\d+)(?=號(?!線))", lambda m: f"{decimal(m[1])}之{decimal(m[2])}"),
    rule(
        rf"(?<![\d.,A-Za-z)）])(?P<low>[-−]?{NUMBER})\s*(?P<sign>[-–~～—])\s*(?P<high>{NUMBER})(?![\d-])",
        _between,
    ),
    rule(
        r"(?<![\d.])(\d+(?:\.\d+){2,})(?![\d])",
        lambda m: "點".join(decimal(part) for part in m[1].split(".")),
    ),
    rule(r"(?:No\.|NO\.|no\.|#|＃|№)\s*(\d+)(?!\d)", lambda m: "第" + decimal(m[1])),
    rule(r"(?<![\d.A-Za-z])(\d+)(?:st|nd|rd|th)(?![A-Za-z])", lambda m: "第" + decimal(m[1])),
    rule(rf"(?P<sign>(?<![\dA-Za-z)）])[-−+])?(?P<number>{NUMBER}|(?<!\d)\.\d+)", _plain),
)
