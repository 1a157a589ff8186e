"""What the default install brings is listed, and is free of what it must not bring."""

import re

from scripts.licences import TARGET, licence, packages, page_packages, render


def test_the_list_is_true() -> None:
    assert TARGET.read_text(encoding="utf-8") == render(), "run `python -m scripts.licences`"


def test_nothing_gpl_or_non_commercial_or_unknown() -> None:
    found = {name: licence(name) for name in packages()} | dict(page_packages())
    forbidden = re.compile(r"(?<![L])GPL|AGPL|non.?commercial|CC-BY-NC|not stated|UNKNOWN", re.IGNORECASE)
    lesser = re.compile(r"\bLGPL|Lesser General Public", re.IGNORECASE)
    bad = {n: text for n, text in found.items() if forbidden.search(text) and not lesser.search(text)}
    assert not bad
