"""The page itself: what it asks for, how it looks in both languages, and who can use it."""

import gzip
from pathlib import Path

from playwright.async_api import expect

import hatch_build
from tests.browser.chat_page import ROOT, axe_findings, room_engines, visiting
from tests.browser.conftest import OpenBrowser
from tests.support.server.app_server import InMemoryRuntime, MemoryArchive, serving

_JAVASCRIPT_LIMIT = 400 * 1024


def _runtime() -> InMemoryRuntime:
    return InMemoryRuntime(engines=room_engines(), store=MemoryArchive())


def test_the_parts_of_the_page_pass_their_own_tests(built_page: Path) -> None:
    said = hatch_build.run_npm(ROOT / "web", "run", "test", "--silent", failed="the page's own tests failed")
    assert "passed" in said


def test_the_javascript_is_small_and_nothing_in_it_is_inline(built_page: Path) -> None:
    scripts = sum(len(gzip.compress(file.read_bytes())) for file in built_page.rglob("*.js"))
    assert scripts <= _JAVASCRIPT_LIMIT
    assert "<style" not in (built_page / "index.html").read_text(encoding="utf-8")
    policy = (built_page / "csp.txt").read_text(encoding="utf-8")
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_the_policy_is_strict_and_kept(open_browser: OpenBrowser) -> None:
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        answer = await visitor.page.goto(served.url)
        assert answer is not None
        policy = (await answer.all_headers())["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        await visitor.write("你好")
        await expect(visitor.lines("assistant")).to_be_visible()
        painted = await visitor.page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        )
        print(f"\nfirst paint after {painted:.0f} ms")
        visitor.at_ease()


async def test_the_language_is_the_browsers_until_another_is_chosen(open_browser: OpenBrowser) -> None:
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url, locale="en-US") as visitor,
    ):
        await visitor.arrive()
        await expect(visitor.page.get_by_role("heading", name="Go ahead, I’m listening.")).to_be_visible()
        await expect(visitor.page.locator("html")).to_have_attribute("lang", "en")
        await visitor.page.get_by_role("button", name="切換到繁體中文").click()
        await expect(visitor.page.get_by_role("heading", name="說吧，我在聽。")).to_be_visible()
        await visitor.page.reload()
        await expect(visitor.page.get_by_role("heading", name="說吧，我在聽。")).to_be_visible()
        await expect(visitor.page.locator("html")).to_have_attribute("lang", "zh-Hant-TW")
        visitor.at_ease()


async def test_the_dark_is_remembered_from_the_first_paint(open_browser: OpenBrowser) -> None:
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        await visitor.arrive()
        scheme = visitor.page.locator("html")
        await expect(scheme).to_have_attribute("data-mantine-color-scheme", "light")
        await visitor.page.get_by_role("button", name="深色").click()
        await expect(scheme).to_have_attribute("data-mantine-color-scheme", "dark")
        await visitor.page.goto(served.url, wait_until="commit")
        await expect(scheme).to_have_attribute("data-mantine-color-scheme", "dark")
        visitor.at_ease()


async def test_everything_can_be_reached_with_the_keyboard(open_browser: OpenBrowser) -> None:
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        await visitor.arrive()
        page = visitor.page
        names = []
        for _ in range(16):
            await page.keyboard.press("Tab")
            names.append(
                await page.evaluate(
                    "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
                )
            )
        assert names[0] == "跳到對話"
        assert {"新對話", "搜尋說過的話", "聲音", "設定", "開始說話", "打字輸入"} <= set(names)
        # The button can be pressed without a mouse, and what has the focus is visible.
        await visitor.talk.focus()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Shift+Tab")
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await page.keyboard.press("Enter")
        await expect(visitor.talk).to_have_attribute("aria-pressed", "true")
        visitor.at_ease()


async def test_nothing_serious_for_who_cannot_see(open_browser: OpenBrowser) -> None:
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url, reduced_motion="reduce") as visitor,
    ):
        await visitor.arrive()
        assert await axe_findings(visitor.page) == []
        await visitor.write("你好")
        await expect(visitor.lines("assistant")).to_have_attribute("data-status", "done")
        # A screen reader is told the reply once, when it is whole.
        await expect(visitor.page.get_by_role("log")).to_contain_text("會，下午大概有陣雨。")
        assert await axe_findings(visitor.page) == []
        visitor.at_ease()
