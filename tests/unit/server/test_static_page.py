import gzip
from pathlib import Path

import pytest
from starlette.requests import Request

from kuaimei.server.static_page import Page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>" + "快美" * 1000, encoding="utf-8")
    (tmp_path / "assets" / "index-abc.js").write_text("let a = 1;" * 1000)
    (tmp_path / "icon.svg").write_text("<svg/>")
    return tmp_path


def asked(path: str, **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": path, "headers": raw, "query_string": b""})


def test_every_file_with_what_protects_it(folder: Path) -> None:
    page = Page(folder)
    assert page.exists
    assert page.paths == {"/", "/listen", "/label", "/assets/index-abc.js", "/icon.svg"}
    for path in page.paths:
        headers = page.response(asked(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["permissions-policy"].startswith("microphone=(self)")
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    assert page.response(asked("/")).media_type == "text/html; charset=utf-8"
    assert page.response(asked("/icon.svg")).media_type == "image/svg+xml"


def test_names_that_change_with_their_contents_are_kept_for_ever(folder: Path) -> None:
    page = Page(folder)
    assert page.response(asked("/")).headers["cache-control"] == "no-cache"
    assert "immutable" in page.response(asked("/assets/index-abc.js")).headers["cache-control"]
    etag = page.response(asked("/")).headers["etag"]
    again = page.response(asked("/", if_none_match=etag))
    assert (again.status_code, again.body) == (304, b"")


def test_what_shrinks_is_sent_packed(folder: Path) -> None:
    page = Page(folder)
    plain = page.response(asked("/"))
    packed = page.response(asked("/", accept_encoding="gzip, br"))
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(bytes(packed.body)) == plain.body
    assert len(packed.body) < len(plain.body) / 5
    assert "content-encoding" not in page.response(asked("/icon.svg", accept_encoding="gzip")).headers


def test_the_page_says_which_policy_it_needs(folder: Path) -> None:
    (folder / "csp.txt").write_text("default-src 'none';\n  script-src 'self'\n")
    page = Page(folder)
    assert "/csp.txt" not in page.paths
    assert (
        page.response(asked("/")).headers["content-security-policy"]
        == "default-src 'none'; script-src 'self'"
    )


def test_a_page_that_was_not_built(tmp_path: Path) -> None:
    page = Page(tmp_path / "nowhere")
    assert not page.exists
    assert page.paths == frozenset()
