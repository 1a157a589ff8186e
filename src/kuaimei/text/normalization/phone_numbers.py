"""Numbers read digit by digit: telephone numbers, codes, rooms, routes, famous dates."""

import re
from typing import Final

from kuaimei.text.normalization.rules import Rule, rule
from kuaimei.text.numbers import digits

__all__ = ["PHONES"]

_GAP: Final = r"[-–\s.]?"


def _grouped(match: re.Match[str]) -> str:
    """Read the groups of a number digit by digit, with a pause between groups."""
    return " ".join(digits(group) for group in match.groups() if group)


def _international(match: re.Match[str]) -> str:
    rest = " ".join(digits(part) for part in re.split(r"[-–\s()]+", match[2]) if part)
    return f"加{digits(match[1])} {rest}"


def _spelled(match: re.Match[str]) -> str:
    return match[1].removesuffix("-") + " " * match[1].endswith("-") + digits(re.sub(r"[-\s]", "", match[2]))


PHONES: Final[tuple[Rule, ...]] = (
    rule(r"\+(\d{1,3})[-\s]?((?:\(?\d{1,4}\)?[-\s]?){2,5}\d)(?!\d)", _international),
    rule(rf"(?<![\d.])(09\d\d){_GAP}(\d{{3}}){_GAP}(\d{{3}})(?!\d)", _grouped),
    rule(rf"(?<![\d.])(0[89]00){_GAP}(\d{{3}}){_GAP}(\d{{3}})(?!\d)", _grouped),
    rule(r"(?<![\d.])[(（]?(0[2-8]\d{0,2})[)）]?[-–\s]?(\d{3,4})[-–\s]?(\d{4})(?!\d)", _grouped),
    rule(r"(?<![\d.])(\d{4})[-–\s](\d{4})[-–\s](\d{4})[-–\s](\d{4})(?!\d)", _grouped),
    rule(r"((?:分機|轉接?|內線)\s*[:：]?\s*)(\d{1,6})(?![\d.])", _spelled),
    rule(
        r"((?:撥打?|打|請洽|洽詢|電話|專線|熱線|簡訊)(?:是|為|給)?\s*[:：]?\s*)(\d{3,5})"
        r"(?![\d.,]|\s*[個通次元塊分秒折支人年])",
        _spelled,
    ),
    rule(
        r"()(?<![\d.,])(110|112|113|119|165|1922|1925|1995|1999)(?=專線|熱線|報案|報警|反詐騙|防疫|勤務)",
        _spelled,
    ),
    rule(
        r"((?:帳號|帳戶|編號|統編|密碼|驗證碼|學號|卡號|序號|代碼|代號|郵遞區號|車號|車牌|車次|班次|房號|工號|身分證字號|認證碼|條碼|機號"
        r"|航班|波音)(?:號碼)?(?:是|為|：|:)?\s*(?:[A-Za-z]+[-\s]?)?)(\d[\d-]*\d)(?![\d.])",
        _spelled,
    ),
    rule(r"()(?<![\d.,])(\d{3,4})(?=號?(?:房|公車|病房|教室|會議室|包廂)|路公車|路(?:，|。|$))", _spelled),
    rule(r"((?:台|臺)北\s?)(101)(?!\d)", _spelled),
    rule(r"()(?<![\d.,])(101)(?=大樓|觀景台|煙火|購物中心)", _spelled),
    rule(
        r"()(?<![\d.,])(228|311|318|411|520|731|823|911|921|1111|1212)"
        r"(?=大?地震|事件|紀念|和平|學運|購物|檔期|公園|砲戰|連假|震災|恐怖|就職)",
        _spelled,
    ),
    rule(r"()(?<![\d.,])([5-9]0|00)(?=後(?:的|出生|世代|$|[，。、])|年代)", _spelled),
    rule(r"()(?<![\d.,])([1-9][1-9])(?=折)", _spelled),
    rule(r"()(?<![\d.,])(404|403|401|500|502|503)(?=\s*(?:錯誤|頁面|error))", _spelled),
    rule(r"()(?<![\d.,:A-Za-z])(0\d+)(?![\d.,:/])", _spelled),
    rule(r"()(?<![\d.,])(\d{11,})(?![\d.,])", _spelled),
)
