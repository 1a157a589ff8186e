"""The built site: nothing on it comes from any other host, diagrams are drawn, Chinese is found."""

import functools
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright

from bench.browser import find_chromium

_RESOURCES = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href",),
    "img": ("src", "srcset"),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
}
_FETCHED_LINKS = {"stylesheet", "preload", "modulepreload", "preconnect", "dns-prefetch", "icon", "manifest"}


class _Resources(HTMLParser):
    """Addresses of what a page loads by itself, as against what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.styles = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.found += [given[name] for name in _RESOURCES.get(tag, ()) if name in given]
        if tag == "link" and _FETCHED_LINKS & set(given.get("rel", "").split()):
            self.found.append(given.get("href", ""))


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()
    server.server_close()


@asynccontextmanager
async def visiting() -> AsyncIterator[tuple[Page, list[str]]]:
    """A page, and every address that it asks for."""
    found = find_chromium()
    if found is None:
        pytest.skip("there is no Chromium on this machine: apt install chromium fonts-noto-cjk")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = await browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        try:
            yield page, asked
        finally:
            await browser.close()


def test_no_page_names_another_host_as_a_resource(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    elsewhere = []
    for path in pages:
        parser = _Resources()
        parser.feed(path.read_text(encoding="utf-8"))
        elsewhere += [f"{path.name}: {url}" for url in parser.found if urlsplit(url).netloc]
    assert elsewhere == []


def test_no_style_names_another_host(site: Path) -> None:
    styles = [path for path in site.rglob("*.css") if "url(http" in path.read_text(encoding="utf-8")]
    assert styles == []


def test_the_script_takes_diagrams_from_the_site(site: Path) -> None:
    (script,) = (site / "assets/javascripts").glob("bundle.*.min.js")
    assert not re.findall(r'"https://[^"]+(?:mermaid|polyfill)[^"]*"', script.read_text(encoding="utf-8"))
    assert (site / "assets/vendor/mermaid.js").stat().st_size > 1_000_000


async def test_diagrams_are_drawn_and_nobody_else_is_asked(address: str) -> None:
    async with visiting() as (page, asked):
        for name in ("index", "05_architecture_and_design_document", "reference/api/index"):
            await page.goto(f"{address}/{name}.html", wait_until="networkidle")
            # Where it was drawn the <pre> is gone; what took its place keeps the drawing in a closed shadow.
            await page.wait_for_function("document.querySelectorAll('pre.mermaid').length === 0")
            drawn = await page.evaluate(
                "[...document.querySelectorAll('div.mermaid')].map(d => d.getBoundingClientRect().height)"
            )
            assert all(height > 40 for height in drawn), (name, drawn)
            if name != "index":
                assert drawn, name
        assert {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))} == {
            urlsplit(address).netloc
        }


async def search(page: Page, words: str, page_found: str) -> None:
    """Type ``words``; a page whose address has ``page_found`` in it is among what is found."""
    await page.click(".md-search__input")
    await page.evaluate("document.querySelector('.md-search__input').value = ''")
    await page.keyboard.type(words)
    await page.keyboard.press("End")  # what an input method does at last: a key comes up
    await page.locator(f".md-search-result__link[href*='{page_found}']").first.wait_for(timeout=30_000)


async def test_search_finds_both_languages(address: str) -> None:
    async with visiting() as (page, _):
        await page.goto(f"{address}/index.html", wait_until="networkidle")
        await search(page, "MAX_SESSIONS", "reference/settings")
        await search(page, "連接埠", "tutorial.zh-TW")
        await search(page, "個資法", "05_architecture")


async def test_it_works_from_files(site: Path) -> None:
    async with visiting() as (page, asked):
        await page.goto((site / "index.html").as_uri(), wait_until="load")
        await search(page, "KUAIMEI_HOME", "reference/settings")
        assert not [url for url in asked if url.startswith("http")]
