"""Who one is at the page, what is kept of one, and how it is taken along or deleted."""

import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.chat_page import ANSWER, Visitor, axe_findings, room_engines, visiting
from tests.browser.conftest import OpenBrowser
from tests.browser.person import Person
from tests.support.server.app_server import InMemoryRuntime, MemoryArchive, serving

_HUNG_UP = "/hangup"
_COUNT_MICROPHONES = """
window.asked = 0;
const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wanted) => { window.asked += 1; return given(wanted); };
"""


@asynccontextmanager
async def _visitor(
    open_browser: OpenBrowser, person: Person, *speech: float, **options: Any
) -> AsyncIterator[tuple[InMemoryRuntime, Visitor, Page]]:
    runtime = InMemoryRuntime(engines=room_engines(), store=MemoryArchive())
    options = {"expected": [_HUNG_UP], "scripts": [_COUNT_MICROPHONES], **options}
    async with (
        serving(runtime) as served,
        open_browser(*speech) as browser,
        visiting(browser, served.url, person=person, **options) as visitor,
    ):
        yield runtime, visitor, visitor.page


def _unasked(**keeping: Any) -> Person:
    """Somebody who has not been asked yet."""
    kept = {"keep": True, "retention_days": 30.0, "voice_retention_days": 0.0, **keeping}
    notice = {"version": "1", "accepted": False}
    return Person(accepted=None, me={"keeping": kept, "notice": notice, "name": "小美", "via": "key"})


def _answered(person: Person) -> None:
    """From now on the page is told what the server says of the notice."""
    person.me.pop("notice")


async def test_nothing_is_recorded_before_a_yes(open_browser: OpenBrowser) -> None:
    person = _unasked()
    async with _visitor(open_browser, person, 4.0, 1.5, 600.0) as (runtime, visitor, page):
        await visitor.arrive()
        await visitor.talk.click()
        asking = page.get_by_role("dialog")
        await expect(asking).to_contain_text("你說的話會被錄下來")
        for told in ("30 天", "只保存在這台伺服器上", "分析", "刪除"):
            await expect(asking).to_contain_text(told)
        assert await axe_findings(page) == []
        assert await page.evaluate("window.asked") == 0
        await asking.get_by_role("button", name="不要").click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(visitor.talk).to_have_attribute("data-mood", "idle")
        assert await page.evaluate("window.asked") == 0
        assert runtime.conversations == {}

        await visitor.write("這句先不要送")
        await expect(asking).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(visitor.lines("user")).to_have_count(0)
        await expect(page.get_by_label("打字輸入")).to_have_value("這句先不要送")
        assert runtime.conversations == {}

        await page.get_by_label("打字輸入").press("Enter")
        _answered(person)
        await asking.get_by_role("button", name="同意並開始").click()
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        await visitor.talk.click()
        await expect(visitor.talk).to_have_attribute("data-mood", "listening")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        assert await page.evaluate("window.asked") == 1
        assert [what for what, _ in person.asked].count("POST /api/me/notice") == 1
        visitor.at_ease()


async def test_the_microphone_begins_with_the_yes(open_browser: OpenBrowser) -> None:
    person = _unasked(retention_days=0.0)
    async with _visitor(open_browser, person, 2.0, 1.5, 600.0) as (_, visitor, page):
        await visitor.arrive()
        await visitor.talk.click()
        await expect(page.get_by_role("dialog")).to_contain_text("直到你或管理者刪除")
        _answered(person)
        await page.get_by_role("button", name="同意並開始").click()
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER, timeout=30_000)
        assert await page.evaluate("window.asked") == 1
        visitor.at_ease()


async def test_who_holds_the_space_bar_does_not_agree_by_letting_go(open_browser: OpenBrowser) -> None:
    person = _unasked()
    prefer = {"mode": "push-to-talk"}
    async with _visitor(open_browser, person, prefer=prefer) as (runtime, visitor, page):
        await visitor.arrive()
        await page.keyboard.down("Space")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.down("Space")  # as a key that is held repeats itself
        await page.keyboard.up("Space")
        await expect(page.get_by_role("dialog")).to_be_visible()
        assert "POST /api/me/notice" not in [what for what, _ in person.asked]
        assert runtime.conversations == {}
        await page.keyboard.press("Escape")
        await expect(visitor.talk).to_have_attribute("data-mood", "idle")
        visitor.at_ease()


async def test_a_yes_that_does_not_arrive_is_no_yes(open_browser: OpenBrowser) -> None:
    person = _unasked()
    async with _visitor(open_browser, person, expected=["500"]) as (runtime, visitor, page):
        await visitor.arrive()

        async def fail(route: Route) -> None:
            await route.fulfill(status=500, json={"error": {"message": "no"}})

        await visitor.context.route("**/api/me/notice", fail)
        await visitor.write("你好")
        await page.get_by_role("button", name="同意並開始").click()
        await expect(page.get_by_role("alert")).to_contain_text("沒有送到伺服器")
        assert runtime.conversations == {}
        await visitor.context.unroute("**/api/me/notice", fail)
        _answered(person)
        await page.get_by_role("button", name="同意並開始").click()
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        visitor.at_ease()


async def test_where_nothing_is_kept_it_is_said_and_not_asked(open_browser: OpenBrowser) -> None:
    async with _visitor(open_browser, _unasked(keep=False)) as (_, visitor, page):
        await visitor.arrive()
        await expect(page.locator("[data-unkept]")).to_contain_text("不保存說過的話")
        await visitor.write("你好")
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        await page.get_by_label("設定", exact=True).click()
        await expect(page.get_by_role("dialog")).to_contain_text("不保存說過的話")
        visitor.at_ease()


async def test_who_one_is(open_browser: OpenBrowser) -> None:
    told = {"name": "阿明", "role": "member", "via": "proxy"}
    keeping = {"keep": True, "retention_days": 30.0, "voice_retention_days": 90.0}
    person = Person(me={**told, "keeping": keeping})
    async with _visitor(open_browser, person) as (_, visitor, page):
        await visitor.arrive()
        await page.get_by_label("設定", exact=True).click()
        settings = page.get_by_role("dialog")
        for words in ("阿明", "成員", "由公司的登入帶進來", "對話保存 30 天", "複製的聲音保存 90 天"):
            await expect(settings).to_contain_text(words)
        await expect(settings.get_by_label("記住這個裝置")).to_have_count(0)
        assert await axe_findings(page) == []
        visitor.at_ease()


async def test_everything_is_taken_along_in_one_file(open_browser: OpenBrowser) -> None:
    async with _visitor(open_browser, Person(me={"name": "小美 A/B"})) as (_, visitor, page):
        await visitor.arrive()
        await page.get_by_label("設定", exact=True).click()
        async with page.expect_download() as downloading:
            await page.get_by_role("button", name="下載我的全部資料").click()
        download = await downloading.value
        assert download.suggested_filename.startswith("kuaimei-小美-A-B-")
        assert zipfile.is_zipfile(await download.path())
        visitor.at_ease()


async def test_a_download_that_fails_is_said_to_have_failed(open_browser: OpenBrowser) -> None:
    async with _visitor(open_browser, Person(), expected=["ERR_FAILED"]) as (_, visitor, page):
        await visitor.arrive()
        await visitor.context.route("**/api/me/export", lambda route: route.abort())
        await page.get_by_label("設定", exact=True).click()
        await page.get_by_role("button", name="下載我的全部資料").click()
        await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("下載沒有完成")
        visitor.at_ease()


@pytest.mark.parametrize(
    ("status", "left", "told"),
    [
        (200, [], "刪除了 2 段對話、1 個聲音"),
        (202, [], "會自動做完"),
        (200, ["recordings/sess_1/utt_1.flac"], "recordings/sess_1/utt_1.flac"),
    ],
)
async def test_everything_is_deleted_by_who_types_their_name(
    open_browser: OpenBrowser, status: int, left: list[str], told: str
) -> None:
    body = {"object": "kuaimei.forgotten", "sessions": 2, "voices": 1, "left": left}
    person = Person(me={"name": "小美"}, forgotten=(status, body))
    prefer = {"person": "ab" * 16, "rater": "小美"}
    async with _visitor(open_browser, person, prefer=prefer) as (_, visitor, page):
        await visitor.arrive()
        await visitor.write("這句要刪掉")
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        await page.get_by_label("設定", exact=True).click()
        await page.get_by_role("button", name="刪除我的全部資料").click()
        asking = page.get_by_role("dialog", name="刪除你的全部資料？")
        await expect(asking).to_contain_text("無法復原")
        confirm = asking.get_by_role("button", name="刪除我的全部資料")
        await expect(confirm).to_be_disabled()
        await asking.get_by_role("textbox").fill("小")
        await expect(confirm).to_be_disabled()
        await asking.get_by_role("textbox").fill("小美")
        assert await axe_findings(page) == []
        await confirm.click()
        await expect(page.locator("[data-forgotten]")).to_contain_text(told)
        assert await axe_findings(page) == []
        assert person.confirmed == ["小美"]
        await page.locator("[data-forgotten]").get_by_role("button", name="關閉").click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(page.get_by_text("這句要刪掉")).to_have_count(0)
        kept = json.loads(await page.evaluate("localStorage.getItem('kuaimei.preferences')"))
        assert (kept["person"], kept["rater"]) == ("", "")
        visitor.at_ease()
