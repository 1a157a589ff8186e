"""Normalization of amounts of money."""

import re
from typing import Final

from kuaimei.text.normalization.rules import NUMBER, TO, Rule, rule, span

__all__ = ["MONEY"]

_NAMED: Final = {
    **dict.fromkeys(("NT$", "NTD", "TWD"), ("新臺幣", "元")),
    "$": ("", "元"),
    **dict.fromkeys(("US$", "USD"), ("", "美元")),
    **dict.fromkeys(("HK$", "HKD"), ("港幣", "元")),
    **dict.fromkeys(("RMB", "CNY"), ("人民幣", "元")),
    **dict.fromkeys(("¥", "￥", "JPY"), ("", "日圓")),
    **dict.fromkeys(("€", "EUR"), ("", "歐元")),
    **dict.fromkeys(("£", "GBP"), ("", "英鎊")),
    **dict.fromkeys(("₩", "KRW"), ("", "韓元")),
}
"""Currency sign → words before and after the amount."""
_SIGN: Final = r"(?P<sign>NT\$|US\$|HK\$|NTD|TWD|USD|HKD|RMB|CNY|JPY|EUR|GBP|KRW|[$¥￥€£₩])"
_AMOUNT: Final = rf"(?P<low>[-−]?{NUMBER})(?:{TO}(?:NT\$|US\$|\$)?(?P<high>{NUMBER}))?"


def _money(match: re.Match[str]) -> str:
    before, after = _NAMED[match["sign"]]
    large = match["large"] or ""
    return f"{before}{span(match, large or '元')}{large}{after}"


MONEY: Final[tuple[Rule, ...]] = (
    rule(rf"(?<![A-Za-z]){_SIGN}\s*{_AMOUNT}\s*(?P<large>[萬億兆千百]+)?(?:\s*(?:元|塊錢?|圓|整))?", _money),
    rule(
        rf"(?<![\d.,A-Za-z]){_AMOUNT}\s*(?P<large>[萬億兆千百]+)?\s*(?P<sign>NTD|TWD|USD|HKD|RMB|CNY|JPY|EUR|GBP|KRW)(?![A-Za-z])",
        _money,
    ),
    rule(r"(?<=元)/(?=[月年天日人小個位次張坪斤公份])", "每"),
)
