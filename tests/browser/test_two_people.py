"""Two people with a key each at one real server: what each is asked, sees, shares, takes along and deletes.

Nothing here stands in for the server: these tests begin with the part of it that knows people apart.
"""

import asyncio
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from kuaimei.settings import Settings
from tests.browser.chat_page import Visitor, axe_findings, visiting
from tests.browser.conftest import OpenBrowser
from tests.browser.person import Person
from tests.support.server.app_server import eventually

_two: Any = pytest.importorskip("tests.support.people.two_people", reason="this server knows one person only")
_stored: Any = pytest.importorskip("tests.integration.people.conftest")
cluster, made, settings, stored_settings = (
    _stored.cluster,
    _stored.made,
    _stored.settings,
    _stored.stored_settings,
)

_EXPECTED = ["/hangup", "401 (Unauthorized)", "404"]


def _nobody_asked() -> Person:
    """Somebody of whom the page is told what the server says, and nothing else."""
    return Person(accepted=None)


async def _come_in(visitor: Visitor, key: str) -> Page:
    await visitor.page.goto(f"{visitor.origin}/#key={key}")
    await expect(visitor.talk).to_be_visible()
    return visitor.page


def _read(archive: Path) -> tuple[bytes, list[str]]:
    """Everything in it, and the names of its files."""
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        return b"".join(opened.read(name) for name in opened.namelist()), opened.namelist()


async def _nothing_left(runtime: Any, somebody: Any) -> None:
    """Wait until nothing of somebody is kept."""
    async with asyncio.timeout(120):
        while await runtime.store.people.sessions_of(somebody.person.id):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.1)


async def test_each_is_asked_once_and_sees_only_what_is_theirs(
    open_browser: OpenBrowser, settings: Settings
) -> None:
    async with _two.two(settings) as runtime, open_browser() as browser:
        await runtime.own(runtime.ben, "班的祕密")
        origin = runtime.served.url
        async with visiting(browser, origin, person=_nobody_asked(), expected=_EXPECTED) as anna:
            page = await _come_in(anna, runtime.anna.key)
            await anna.write("只有怡君知道的事")
            await expect(page.get_by_role("dialog")).to_contain_text("你說的話會被錄下來")
            assert await axe_findings(page) == []
            assert await runtime.store.people.sessions_of(runtime.anna.person.id) == []
            await page.get_by_role("button", name="同意並開始").click()
            await expect(anna.lines("assistant")).to_have_attribute("data-status", "done", timeout=30_000)
            assert (await runtime.anna.http.get("/api/me")).json()["notice"]["accepted"] is True
            assert (await runtime.ben.http.get("/api/me")).json()["notice"]["accepted"] is False
            await expect(page.get_by_text("班的祕密")).to_have_count(0)
            await page.reload()
            await expect(anna.lines("assistant")).to_have_count(1)
            await anna.write("再問一句")
            await expect(anna.lines("assistant")).to_have_count(2)
            await expect(page.get_by_role("dialog")).to_have_count(0)
            await page.get_by_label("設定", exact=True).click()
            await expect(page.locator("[data-account=key]")).to_contain_text("陳怡君")
            await expect(page.locator("[data-account=key]")).to_contain_text("成員")
            anna.at_ease()


async def test_a_voice_that_is_shared_is_there_for_the_other(
    open_browser: OpenBrowser, settings: Settings
) -> None:
    async with _two.two(settings) as runtime, open_browser() as browser:
        await runtime.own(runtime.anna, "怡君")
        origin, voice = runtime.served.url, f"[data-voice={runtime.anna.ids['voice']}]"
        async with (
            visiting(browser, origin, person=_nobody_asked(), expected=_EXPECTED) as anna,
            visiting(browser, origin, person=_nobody_asked(), expected=_EXPECTED) as ben,
        ):
            at_annas, at_bens = await _come_in(anna, runtime.anna.key), await _come_in(ben, runtime.ben.key)
            await at_bens.get_by_label("聲音", exact=True).click()
            await expect(at_bens.get_by_role("radio", name="One")).to_be_visible()
            await expect(at_bens.locator(voice)).to_have_count(0)
            await at_annas.get_by_label("聲音", exact=True).click()
            await at_annas.locator(f"{voice} button[aria-expanded]").click()
            await at_annas.locator(voice).get_by_role("switch", name="和所有人分享").press("Space")
            await expect(at_annas.locator(voice).get_by_role("switch")).to_be_checked()
            await at_bens.reload()
            await at_bens.get_by_label("聲音", exact=True).click()
            await expect(at_bens.locator(voice)).to_contain_text("由其他人分享")
            await expect(at_bens.locator(voice).get_by_role("button")).to_have_count(1)
            await at_bens.locator(voice).get_by_role("radio").check()
            anna.at_ease()
            ben.at_ease()


async def test_everything_is_taken_along_and_then_deleted(
    open_browser: OpenBrowser, settings: Settings
) -> None:
    async with _two.two(settings) as runtime, open_browser() as browser:
        await runtime.own(runtime.anna)
        await runtime.own(runtime.ben, "班的祕密")
        origin = runtime.served.url
        async with visiting(browser, origin, person=_nobody_asked(), expected=_EXPECTED) as anna:
            page = await _come_in(anna, runtime.anna.key)
            await expect(page.get_by_text(_two.SECRET).first).to_be_visible()
            await page.get_by_label("設定", exact=True).click()
            async with page.expect_download() as downloading:
                await page.get_by_role("button", name="下載我的全部資料").click()
            words, names = _read(await (await downloading.value).path())
            assert any(name.endswith(".flac") for name in names)
            assert _two.SECRET.encode() in words or json.dumps(_two.SECRET).encode() in words
            assert "班的祕密".encode() not in words
            await page.get_by_role("button", name="刪除我的全部資料").click()
            asking = page.get_by_role("dialog", name="刪除你的全部資料？")
            await asking.get_by_role("textbox").fill("陳怡君")
            await asking.get_by_role("button", name="刪除我的全部資料").click()
            # A server that has much else to do says after a while that it goes on by itself.
            await expect(page.locator("[data-forgotten]")).to_be_visible(timeout=60_000)
            if await page.locator("[data-forgotten=done]").count():
                await expect(page.locator("[data-forgotten]")).to_contain_text("1 段對話、1 個聲音")
            await _nothing_left(runtime, runtime.anna)
            await page.locator("[data-forgotten]").get_by_role("button", name="關閉").click()
            await expect(anna.talk).to_be_visible()
            await expect(page.get_by_text(_two.SECRET)).to_have_count(0)
            assert len(await runtime.store.people.sessions_of(runtime.ben.person.id)) == 1
            anna.at_ease()


@pytest.mark.parametrize("transport", ["auto", "websocket"])
async def test_a_key_that_is_revoked_ends_it_for_one_and_not_for_the_other(
    open_browser: OpenBrowser, settings: Settings, transport: str
) -> None:
    prefer = {"transport": transport}
    async with _two.two(settings) as runtime, open_browser() as browser:
        origin = runtime.served.url
        async with (
            visiting(browser, origin, prefer=prefer, expected=_EXPECTED) as anna,
            visiting(browser, origin, prefer=prefer, expected=_EXPECTED) as ben,
        ):
            for visitor, somebody in ((anna, runtime.anna), (ben, runtime.ben)):
                await _come_in(visitor, somebody.key)
                await visitor.write("你好")
                await expect(visitor.lines("assistant")).to_have_count(1)
            await runtime.store.keys.revoke(runtime.anna.key_id)
            await expect(anna.page.locator("[data-why=revoked]")).to_be_visible()
            await expect(anna.page.get_by_text("你好")).to_have_count(0)
            assert await anna.page.evaluate("localStorage.length + sessionStorage.length") == 0
            await anna.page.get_by_label("金鑰", exact=True).fill(runtime.anna.key)
            await anna.page.keyboard.press("Enter")
            await expect(anna.page.get_by_role("alert")).to_contain_text("不認得這把金鑰")
            await ben.write("我還在")
            await expect(ben.lines("assistant")).to_have_count(2)
            anna.at_ease()
            ben.at_ease()


async def test_signing_out_and_in_again(open_browser: OpenBrowser, settings: Settings) -> None:
    async with (
        _two.two(settings) as runtime,
        open_browser() as browser,
        visiting(browser, runtime.served.url, person=_nobody_asked(), expected=_EXPECTED) as anna,
    ):
        page = await _come_in(anna, runtime.anna.key)
        await page.get_by_label("設定", exact=True).click()
        await page.get_by_role("button", name="登出").click()
        await expect(page.locator("[data-why=left]")).to_be_visible()
        await eventually(lambda: ("POST /api/me/sign-out", runtime.anna.key) in anna.person.asked)
        # The key still lets in, and what the server has the browser clear does not take it away again.
        await page.get_by_label("金鑰", exact=True).fill(runtime.anna.key)
        await page.keyboard.press("Enter")
        await expect(anna.talk).to_be_visible()
        await page.reload()
        await expect(anna.talk).to_be_visible()
        anna.at_ease()
