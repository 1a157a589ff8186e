"""Whatever the server says when something is wrong stands in the troubleshooting, in its own words."""

import re
from pathlib import Path

import pytest

from kuaimei.dialogue.error_phrases import _TEXTS

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/how-to/troubleshooting.md").read_text(encoding="utf-8")


def test_every_state_of_the_page_is_there() -> None:
    words = (ROOT / "web/src/i18n/en.ts").read_text(encoding="utf-8")
    problems = words.partition("  problems: {")[2].partition("\n  },")[0]
    titles = re.findall(r'title: "([^"]+)"', problems)
    assert len(titles) > 10
    assert [title for title in titles if title not in PAGE] == []


def test_every_apology_is_there() -> None:
    stages = _TEXTS["zh"]
    assert [stage for stage in stages if f"| {stage} |" not in PAGE] == []
    said = re.findall(r"^\| (\S+) · (.+?) \| (\w+) \|", PAGE, re.M)
    assert len(said) == len(stages)
    for chinese, english, stage in said:
        assert chinese.removeprefix("不好意思，") in _TEXTS["zh"][stage]
        assert english in _TEXTS["en"][stage].replace("Sorry, ", "")


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("No virtual environment could be made", "Makefile"),
        ("Python 3.11, 3.12 or 3.13 is needed", "Makefile"),
        ("npm could not fetch what builds the page", "hatch_build.py"),
        ("cannot listen on", "src/kuaimei/http/bind.py"),
        ("needs a key", "src/kuaimei/settings.py"),
        ("is ignored: move it to the data folder", "src/kuaimei/settings.py"),
        ("proxy_not_allowed", "src/kuaimei/http/security.py"),
        ("cross_site", "src/kuaimei/http/security.py"),
        ("belongs to another account", "src/kuaimei/store/postgres/embedded_server.py"),
        ("origin_not_allowed", "src/kuaimei/http/security.py"),
        ("host_not_allowed", "src/kuaimei/http/security.py"),
    ],
)
def test_the_message_is_still_said(said: str, source: str) -> None:
    assert said in PAGE
    assert said in (ROOT / source).read_text(encoding="utf-8")
