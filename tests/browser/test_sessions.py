"""Earlier conversations in the browser: found, heard again, renamed, taken along, deleted; and the voices."""

import json
import zipfile
from pathlib import Path

from playwright.async_api import Download, Page, Route, expect

from kuaimei.audio.encode import encode
from tests.browser.chat_page import room_engines, visiting
from tests.browser.conftest import OpenBrowser
from tests.support.fakes import said
from tests.support.server.app_server import InMemoryRuntime, MemoryArchive, serving


def _runtime() -> InMemoryRuntime:
    archive = MemoryArchive()
    sound = encode(said("這是一段錄音"), 16_000, "flac")
    archive.put("sess_trip", "想去花蓮玩", "好啊，三天兩夜怎麼樣？", sound=sound)
    archive.put("sess_cake", "蛋糕怎麼做", "先把蛋打散。", sound=sound)
    return InMemoryRuntime(engines=room_engines(), store=archive)


async def _choose(page: Page, title: str, option: str) -> None:
    await page.get_by_role("button", name=f"「{title}」的選項").click()
    await page.get_by_role("menuitem", name=option).click()


async def _take(page: Page, title: str, option: str, folder: Path) -> Path:
    async with page.expect_download() as waiting:
        await _choose(page, title, option)
    download: Download = await waiting.value
    path = folder / download.suggested_filename
    await download.save_as(path)
    return path


async def test_found_renamed_and_deleted(open_browser: OpenBrowser) -> None:
    runtime = _runtime()
    async with (
        serving(runtime) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        page = visitor.page
        await visitor.arrive()
        await expect(page.get_by_text("想去花蓮玩")).to_be_visible()
        await page.get_by_label("搜尋說過的話").fill("蛋糕")
        await expect(page.get_by_text("想去花蓮玩")).to_have_count(0)
        await expect(page.get_by_text("蛋糕怎麼做")).to_be_visible()
        await _choose(page, "蛋糕怎麼做", "重新命名")
        await page.get_by_label("名稱").fill("蛋糕食譜")
        await page.get_by_role("button", name="儲存").click()
        await expect(page.get_by_text("蛋糕食譜")).to_be_visible()
        await page.get_by_label("搜尋說過的話").fill("")
        await _choose(page, "想去花蓮玩", "刪除")
        await expect(page.get_by_role("dialog")).to_contain_text("無法復原")
        await page.get_by_role("dialog").get_by_role("button", name="刪除").click()
        await expect(page.get_by_text("想去花蓮玩")).to_have_count(0)
        assert runtime.store is not None
        assert {session.title for session in runtime.store.kept.values()} == {"蛋糕食譜"}
        visitor.at_ease()


async def test_a_deletion_that_still_goes_on_is_shown_as_done(open_browser: OpenBrowser) -> None:
    runtime = _runtime()
    going = {"object": "kuaimei.deletion", "state": "deleting"}

    async def delete(route: Route) -> None:
        if route.request.method == "DELETE":
            await route.fulfill(status=202, json=going)  # and the list names it for a while yet
        else:
            await route.fallback()

    async with (
        serving(runtime) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        page = visitor.page
        await visitor.context.route("**/api/sessions/sess_trip", delete)
        await visitor.arrive()
        async with page.expect_response("**/api/sessions?*"):
            await _choose(page, "想去花蓮玩", "刪除")
            await page.get_by_role("dialog").get_by_role("button", name="刪除").click()
        await expect(page.get_by_text("蛋糕怎麼做")).to_be_visible()
        await expect(page.get_by_text("想去花蓮玩")).to_have_count(0)
        async with page.expect_response("**/api/sessions?*"):
            await page.get_by_label("搜尋說過的話").fill("玩")
        await expect(page.get_by_text("想去花蓮玩")).to_have_count(0)
        visitor.at_ease()


async def test_heard_again_and_gone_on_with(open_browser: OpenBrowser) -> None:
    runtime = _runtime()
    async with (
        serving(runtime) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        page = visitor.page
        await visitor.arrive()
        await page.get_by_role("button", name="想去花蓮玩").first.click()
        await expect(visitor.lines("assistant")).to_contain_text("三天兩夜")
        await visitor.lines("assistant").get_by_label("重播").click()
        replay = page.locator("[data-state=ready]")
        await expect(replay).to_contain_text("0:00 / 0:00")  # 0.96 s
        await expect(replay.get_by_label("暫停")).to_be_visible()
        await expect(replay.get_by_label("重播")).to_be_visible()  # it has ended
        await visitor.write("那就星期五出發")
        await expect(visitor.lines("assistant")).to_have_count(2)
        assert set(runtime.conversations) == {"sess_trip"}
        await page.reload()  # the address says which conversation it is
        await expect(visitor.lines("user").first).to_contain_text("想去花蓮玩")
        await page.get_by_role("button", name="新對話").click()
        await expect(visitor.lines("user")).to_have_count(0)
        visitor.at_ease()


async def test_taken_along(open_browser: OpenBrowser, tmp_path: Path) -> None:
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        page = visitor.page
        await visitor.arrive()
        packed = await _take(page, "想去花蓮玩", "下載錄音與文字（ZIP）", tmp_path)
        with zipfile.ZipFile(packed) as file:
            assert [name for name in file.namelist() if name.endswith(".flac")]
            assert "想去花蓮玩" in file.read("sess_trip/transcript.txt").decode()
        subtitles = await _take(page, "想去花蓮玩", "下載字幕（SRT）", tmp_path)
        assert subtitles.read_text(encoding="utf-8").startswith(
            "1\n00:00:00,000 --> 00:00:01,000\n想去花蓮玩\n"
        )
        data = json.loads(
            (await _take(page, "想去花蓮玩", "下載資料（JSON）", tmp_path)).read_text(encoding="utf-8")
        )
        assert data["session"]["id"] == "sess_trip"
        assert [one["transcript"] for one in data["utterances"]] == ["想去花蓮玩", "好啊，三天兩夜怎麼樣？"]
        visitor.at_ease()


async def test_a_voice_is_heard_chosen_and_used(open_browser: OpenBrowser) -> None:
    runtime = _runtime()
    async with (
        serving(runtime) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        page = visitor.page
        await visitor.arrive()
        await page.get_by_label("聲音", exact=True).click()
        await expect(page.get_by_role("radio", name="One")).to_be_checked()
        await page.get_by_label("試聽 Two").click()
        await expect(page.get_by_label("停止試聽")).to_be_visible()
        await page.get_by_role("radio", name="Two").check()
        await page.get_by_role("slider").press("ArrowRight")
        await page.keyboard.press("Escape")
        await visitor.write("你好")
        # Until it has been spoken the latest request is still that of the sample.
        await expect(visitor.lines("assistant")).to_have_attribute("data-status", "done")
        request = runtime.engines.synthesizer.requests[-1]  # type: ignore[attr-defined]
        assert (request.voice_id, request.speed) == ("zm_two", 1.1)
        visitor.at_ease()


async def test_where_nothing_is_kept_that_is_said(open_browser: OpenBrowser) -> None:
    runtime = InMemoryRuntime(engines=room_engines())
    async with (
        serving(runtime) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        await visitor.arrive()
        await expect(visitor.page.get_by_text("沒有開啟保存")).to_be_visible()
        await visitor.write("你好")
        await expect(visitor.lines("assistant")).to_be_visible()
        visitor.at_ease()
