"""Normalization of URLs and e-mail addresses."""

import re
from typing import Final

from kuaimei.text.normalization.rules import Rule, rule
from kuaimei.text.numbers import digits

__all__ = ["WEB"]

_LONG: Final = 24
"""Maximum characters of a URL path that is spoken; longer ones, and those with a query, are omitted."""
_SIGNS: Final = {
    ".": "點",
    "/": "斜線",
    "-": "減號",
    "_": "底線",
    "@": "小老鼠",
    "+": "加號",
    ":": "冒號",
    "~": "波浪號",
}
_SPELLED: Final = frozenset(("tw", "io", "ai", "cn", "jp", "uk", "us", "hk", "tv", "me", "cc", "gov", "edu"))
_READ_AS_WORD: Final = frozenset(("gov", "edu", "me"))


def _spell(address: str) -> str:
    out = []
    for piece in re.findall(r"[A-Za-z]+|\d+|.", address):
        if piece.isdigit():
            out.append(digits(piece))
        elif piece.lower() in _SPELLED - _READ_AS_WORD or len(piece) == 1:
            out.append(" ".join(piece.upper()) if piece.isalpha() else _SIGNS.get(piece, ""))
        else:
            out.append(piece)
    return " ".join(filter(None, out))


def _url(match: re.Match[str]) -> str:
    host, path = match["host"], (match["path"] or "").rstrip("/")
    if len(path) > _LONG or "?" in path or "%" in path:
        path = ""
    return f" {_spell(host.removeprefix('www.') + path)} "


WEB: Final[tuple[Rule, ...]] = (
    rule(
        r"(?:mailto:)?([A-Za-z0-9][\w.+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)", lambda m: f" {_spell(m[1])} "
    ),
    rule(
        r"(?:https?://|(?=www\.))(?P<host>[A-Za-z0-9.-]*[A-Za-z0-9])(?::\d+)?(?P<path>/[!-~]*[A-Za-z0-9/=&#_-]|/)?",
        _url,
    ),
    rule(
        r"(?<![\w@.])(?P<host>(?:[A-Za-z0-9-]+\.)+(?:com|net|org|tw|io|ai|gov|edu|dev|app))(?P<path>/[!-~]*[A-Za-z0-9/])?(?![\w.]\w)",
        _url,
    ),
)
