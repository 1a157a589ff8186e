"""Every link in the documentation leads somewhere: to a file that is there, to a heading in it."""

import re
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        *(path for path in (ROOT / "docs").rglob("*.md") if "node_modules" not in path.parts),
    ]
)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1[`~]*\s*?$", re.M | re.S)
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.S)
_LINK = re.compile(r"\]\(\s*<?([^()\s<>]+(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s+\"[^\"]*\")?\s*\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]^]+\]:\s+(\S+)", re.M)
_HTML = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)=\"([^\"]+)\"")
_HEADING = re.compile(r"^ {0,3}#{1,6} +(.+?)(?: +#+)? *$", re.M)
_ANCHOR = re.compile(r"<[a-z][^>]*?\b(?:id|name)=\"([^\"]+)\"|\{[^}\n]*#([\w-]+)[^}\n]*\}")
_SNIPPET = re.compile(r"^ *--8<-- \"([^\"]+)\"", re.M)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(document: Path) -> None:
    assert [problem for link in _links(document) if (problem := _problem(document, link))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_included_is_there(document: Path) -> None:
    included = _SNIPPET.findall(document.read_text(encoding="utf-8"))
    assert [path for path in included if not (ROOT / path.partition(":")[0]).is_file()] == []


def _links(document: Path) -> list[str]:
    text = _prose(document)
    return [*_LINK.findall(text), *_REFERENCE.findall(text), *_HTML.findall(text)]


def _problem(document: Path, link: str) -> str:
    """What is wrong with ``link``; empty: nothing. What other hosts hold is not looked at."""
    address = urlsplit(link)
    if address.scheme or address.netloc:
        return ""
    target = (document.parent / unquote(address.path)).resolve() if address.path else document
    if not target.is_relative_to(ROOT):
        return f"{link}: outside the repository"
    if not target.exists():
        return f"{link}: no such file"
    if not address.fragment or target.suffix != ".md":
        return ""
    known = _anchors(target)
    return "" if unquote(address.fragment) in known else f"{link}: no such heading in {target.name}"


@cache
def _anchors(document: Path) -> frozenset[str]:
    """Of a document's headings, as forges and the site make them, and those it names itself."""
    text = document.read_text(encoding="utf-8")
    prose = _FENCE.sub("", text)
    found: Counter[str] = Counter()
    for heading in _HEADING.findall(prose):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        plain = re.sub(r"<[^>]+>|[`*]|\{[^}]*\}", "", plain)
        slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).strip().replace(" ", "-")
        found[slug] += 1
    again = [f"{slug}-{n}" for slug, count in found.items() for n in range(1, count)]
    named = [one for pair in _ANCHOR.findall(prose) for one in pair if one]
    return frozenset([*found, *again, *named])


def _prose(document: Path) -> str:
    """Without code: what looks like a link there is none."""
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    return _CODE.sub(lambda code: "code" if "](" not in code[0] else "", text)


def test_the_links_of_a_document_are_found(tmp_path: Path) -> None:
    document = tmp_path / "one.md"
    document.write_text(
        '[a](x.md) ![b](y.png "title") [`code`](z.md#part)\n```\n[not](this.md)\n```\n`[nor](that.md)`\n'
        '[r]: other.md\n<img src="w.png">\n'
    )
    assert _links(document) == ["x.md", "y.png", "z.md#part", "other.md", "w.png"]


def test_headings_are_named_as_forges_name_them(tmp_path: Path) -> None:
    document = tmp_path / "one.md"
    document.write_text(
        "# 快美 kuaimei\n## A `b` & c\n## hearing.feature\n## Same\n## Same\n```\n# not\n```\n"
    )
    assert _anchors(document) == {"快美-kuaimei", "a-b--c", "hearingfeature", "same", "same-1"}
