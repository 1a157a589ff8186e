"""Blind listening at the page: two clips, a choice, only then which was which, and what it adds up to."""

from pathlib import Path

from playwright.async_api import expect

from tests.browser.chat_page import axe_findings, visiting
from tests.browser.conftest import OpenBrowser
from tests.integration.server.test_listening_test import runtime
from tests.support.server.app_server import serving


async def test_two_renderings_are_compared_blind(open_browser: OpenBrowser, tmp_path: Path) -> None:
    async with (
        serving(runtime(tmp_path)) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        page = visitor.page
        await page.goto(f"{served.url}/listen")
        await expect(page.get_by_role("heading", name="盲聽比較")).to_be_visible()
        trial = page.locator("[data-trial]")
        await expect(trial).to_have_attribute("data-trial", "open")
        await expect(trial).to_contain_text("回答")
        # Nothing on the page tells which is which.
        html = await trial.inner_html()
        assert "快" not in html
        assert "hq" not in html
        await page.get_by_role("button", name="播放 A").click()
        await expect(page.get_by_role("button", name="停止 A")).to_be_visible()
        await page.get_by_role("button", name="播放 B").click()
        await expect(page.get_by_role("button", name="播放 A")).to_be_visible()
        await expect(page.get_by_role("button", name="停止 B")).to_be_visible()
        assert await axe_findings(page) == []
        await page.get_by_label("補充（可不填）").fill("B 比較自然")
        await page.get_by_role("button", name="B 比較好").click()
        await expect(trial).to_have_attribute("data-trial", "judged")
        await expect(trial).to_contain_text("你比較喜歡")
        # B may have been either.
        liked = (
            "100%"
            if "「美」" in (await trial.get_by_role("status").inner_text()).split("。")[0]
            else "/ 快10%"
        )
        await expect(page.locator("[data-pair='hq fast']")).to_contain_text(liked)
        assert await axe_findings(page) == []
        async with page.expect_download() as taking:
            await page.get_by_role("button", name="下載結果（CSV）").click()
        taken = tmp_path / "results.csv"
        await (await taking.value).save_as(taken)
        assert "B 比較自然" in taken.read_text(encoding="utf-8-sig")

        await page.get_by_role("button", name="下一題").click()
        await page.get_by_role("button", name="差不多").click()
        await expect(trial).to_contain_text("你覺得差不多")
        await page.get_by_role("button", name="清除所有結果").click()
        await page.get_by_role("dialog").get_by_role("button", name="清除所有結果").click()
        await expect(page.get_by_text("還沒有人評過")).to_be_visible()
        visitor.at_ease()


async def test_voices_are_compared_and_a_server_without_replies_says_so(
    open_browser: OpenBrowser, tmp_path: Path
) -> None:
    async with (
        serving(runtime(tmp_path, rendered=False)) as served,
        open_browser() as browser,
        visiting(browser, served.url, locale="en-US", expected=["404"]) as visitor,
    ):
        page = visitor.page
        await page.goto(f"{served.url}/listen")
        trial = page.locator("[data-trial=open]")
        await expect(trial).to_be_visible()
        await expect(page.get_by_role("radio", name="Two voices")).to_be_checked()
        await page.get_by_role("button", name="A is better").press("Enter")
        await expect(page.get_by_text("You prefer")).to_be_visible()
        await page.get_by_role("radiogroup").get_by_text("Fast and fine").click()
        await expect(page.get_by_role("alert")).to_contain_text("nothing to compare")
        visitor.at_ease()
