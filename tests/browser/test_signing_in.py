"""Who may use the page: signing in with a key, by hand or by address, and out again."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.chat_page import ANSWER, Visitor, axe_findings, room_engines, visiting
from tests.browser.conftest import OpenBrowser
from tests.browser.person import Person
from tests.support.server.app_server import (
    KEY,
    InMemoryRuntime,
    MemoryArchive,
    Served,
    make_settings,
    serving,
)

_UNAUTHORISED = ["401 (Unauthorized)"]
_HUNG_UP = "/hangup"  # a call that the server has seen end is no longer there to be hung up
_STORED = """() => ({
  local: Object.entries({...localStorage}), session: Object.entries({...sessionStorage}),
})"""
_LIVE = "() => window.tracks.filter((track) => track.readyState === 'live').length"
_TRACKS = """
window.tracks = [];
const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const stream = await given(wanted);
  window.tracks.push(...stream.getTracks());
  return stream;
};
"""


def _runtime(key: str = KEY) -> InMemoryRuntime:
    return InMemoryRuntime(settings=make_settings(key=key), engines=room_engines(), store=MemoryArchive())


@asynccontextmanager
async def _visitor(
    open_browser: OpenBrowser, **options: Any
) -> AsyncIterator[tuple[Served, Visitor, Page, BrowserContext]]:
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url, **{"expected": _UNAUTHORISED, **options}) as visitor,
    ):
        yield served, visitor, visitor.page, visitor.context


async def _stored(page: Page) -> str:
    return json.dumps(await page.evaluate(_STORED))


async def _sign_in(page: Page, *, remember: bool = False) -> None:
    await page.get_by_label("金鑰", exact=True).fill(KEY)
    if remember:
        await page.get_by_label("記住這個裝置").check()
    await page.get_by_role("button", name="登入").click()
    await expect(page.locator("[data-talk]")).to_be_visible()


async def test_a_key_is_asked_for_checked_and_kept_as_long_as_the_tab(open_browser: OpenBrowser) -> None:
    async with _visitor(open_browser) as (_, visitor, page, context):
        await page.goto(visitor.origin)
        await expect(page.get_by_role("heading", name="登入快美")).to_be_visible()
        await expect(page.get_by_label("金鑰", exact=True)).to_be_focused()
        await expect(page.get_by_text("kuaimei key")).to_be_visible()
        await expect(page.locator("[data-talk]")).to_have_count(0)
        assert await axe_findings(page) == []
        for wrong in ("not-the-key-at-all", "這不是金鑰"):
            await page.get_by_label("金鑰", exact=True).fill(wrong)
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("alert")).to_contain_text("不認得這把金鑰")
            await expect(page.get_by_label("金鑰", exact=True)).to_have_attribute("aria-invalid", "true")
        assert await axe_findings(page) == []
        await _sign_in(page)
        for transport in ("WebRTC", "WebSocket"):
            await visitor.write("你好")
            await expect(visitor.lines("assistant").last).to_contain_text(ANSWER)
            await expect(visitor.status).to_contain_text(transport)
            await page.evaluate(
                "localStorage.setItem('kuaimei.preferences', JSON.stringify({transport: 'websocket'}))"
            )
            await page.goto("about:blank")
            await visitor.arrive()
        assert KEY not in json.dumps((await page.evaluate(_STORED))["local"])
        other = await context.new_page()
        await other.goto(visitor.origin)
        await expect(other.get_by_role("heading", name="登入快美")).to_be_visible()
        visitor.at_ease()


async def test_all_of_the_sign_in_can_be_done_without_a_mouse(open_browser: OpenBrowser) -> None:
    async with _visitor(open_browser, locale="en-US") as (_, visitor, page, context):
        await page.goto(visitor.origin)
        await expect(page.get_by_label("Key", exact=True)).to_be_focused()
        await page.keyboard.type(KEY)
        await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        await expect(page.get_by_label("Remember this device")).to_be_checked()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(visitor.talk).to_be_visible()
        other = await context.new_page()  # a device that is remembered asks no second time
        await other.goto(visitor.origin)
        await expect(other.locator("[data-talk]")).to_be_visible()
        visitor.at_ease()


async def test_a_key_in_the_address_is_taken_and_leaves_no_trace_in_it(open_browser: OpenBrowser) -> None:
    seen: list[str] = []
    async with _visitor(open_browser, expected=()) as (_, visitor, page, context):
        context.on(
            "request", lambda request: seen.append(f"{request.url} {request.headers.get('referer', '')}")
        )
        logged: list[str] = []
        page.on("console", lambda message: logged.append(message.text))
        early = await _address_before_the_first_request(context)
        await page.goto(f"{visitor.origin}/#key={KEY}")
        await expect(visitor.talk).to_be_visible()
        assert page.url == f"{visitor.origin}/"
        assert await page.evaluate("history.length") <= 2  # nothing to go back to that would show it
        assert early, "the page asked for nothing"
        assert all(KEY not in address for address in early)
        await visitor.write("你好")
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        assert KEY in visitor.person.asked[0][1]
        assert all(KEY not in one for one in seen)
        assert all(KEY not in one for one in logged)
        await page.reload()
        await expect(visitor.talk).to_be_visible()
        visitor.at_ease()


async def _address_before_the_first_request(context: BrowserContext) -> list[str]:
    """What the address bar showed whenever the page fetched something."""
    found: list[str] = []
    await context.expose_function("tellAddress", lambda address: found.append(address))
    await context.add_init_script(
        "const fetched = window.fetch;"
        "window.fetch = (...all) => { window.tellAddress(location.href); return fetched(...all); };"
    )
    return found


async def test_a_key_in_the_address_of_a_page_that_is_open_changes_who_it_is(
    open_browser: OpenBrowser,
) -> None:
    async with _visitor(open_browser) as (_, visitor, page, _context):
        await page.goto(f"{visitor.origin}/#key=an-old-key-of-some-length")
        await expect(page.locator("[data-why=refused]")).to_be_visible()
        await page.evaluate(f"location.hash = 'key={KEY}'")
        await expect(visitor.talk).to_be_visible()
        assert KEY not in page.url
        visitor.at_ease()


async def test_an_address_with_an_old_key_does_not_sign_out_a_device_that_is_remembered(
    open_browser: OpenBrowser,
) -> None:
    async with _visitor(open_browser) as (_, visitor, page, context):
        await page.goto(visitor.origin)
        await _sign_in(page, remember=True)
        other = await context.new_page()
        await other.goto(f"{visitor.origin}/#key=an-old-key-of-some-length")
        await expect(other.locator("[data-talk]")).to_be_visible()
        assert other.url == f"{visitor.origin}/"
        await page.reload()
        await expect(visitor.talk).to_be_visible()
        visitor.at_ease()


async def test_whose_account_an_address_leads_into_is_said(open_browser: OpenBrowser) -> None:
    person = Person(me={"via": "key", "name": "阿明"})
    async with _visitor(open_browser, person=person, expected=()) as (_, visitor, page, _context):
        await page.goto(f"{visitor.origin}/#key={KEY}")
        await expect(visitor.notice("from-address")).to_contain_text("阿明")
        assert await axe_findings(page) == []
        await visitor.notice("from-address").get_by_role("button", name="關閉").click()
        await expect(visitor.notice("from-address")).to_have_count(0)
        await page.reload()
        await expect(visitor.talk).to_be_visible()
        await expect(visitor.notice("from-address")).to_have_count(0)
        visitor.at_ease()


async def test_a_key_of_an_earlier_version_is_no_longer_kept_for_ever(open_browser: OpenBrowser) -> None:
    async with _visitor(open_browser, expected=()) as (_, visitor, page, context):
        await context.add_init_script(
            f"if (!window.name) {{ localStorage.setItem('kuaimei.key', '{KEY}'); window.name = 'visited'; }}"
        )
        await visitor.arrive()
        assert KEY not in json.dumps((await page.evaluate(_STORED))["local"])
        await page.reload()
        await expect(visitor.talk).to_be_visible()
        visitor.at_ease()


async def test_signing_out_forgets_everything_in_all_tabs(open_browser: OpenBrowser) -> None:
    expected = [*_UNAUTHORISED, _HUNG_UP]
    async with _visitor(open_browser, scripts=[_TRACKS], expected=expected) as (
        served,
        visitor,
        page,
        context,
    ):
        await page.goto(visitor.origin)
        await _sign_in(page, remember=True)
        other = await context.new_page()
        await other.goto(visitor.origin)
        await expect(other.locator("[data-talk]")).to_be_visible()
        await visitor.write("只有我知道的事")
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        await visitor.talk.click()
        await expect(visitor.talk).to_have_attribute("data-mood", "listening")
        assert await page.evaluate(_LIVE) == 1
        assert KEY in await _stored(page)

        await page.get_by_label("設定", exact=True).click()
        account = page.locator("[data-account]")
        await expect(account).to_contain_text("你的帳號")
        await account.get_by_role("button", name="登出").click()
        await expect(page.locator("[data-why=left]")).to_be_visible()
        await expect(other.get_by_role("heading", name="登入快美")).to_be_visible()
        await expect(page.get_by_text("只有我知道的事")).to_have_count(0)
        assert await _stored(page) == json.dumps({"local": [], "session": []})
        assert await page.evaluate(_LIVE) == 0
        assert page.url == f"{visitor.origin}/"
        async with asyncio.timeout(30):
            while len(served.runtime.ended) < 1:  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.01)
        assert ("POST /api/me/sign-out", KEY) in visitor.person.asked
        await page.reload()
        await expect(page.get_by_role("heading", name="登入快美")).to_be_visible()
        visitor.at_ease()


async def test_what_was_shown_does_not_come_back_with_the_back_button(open_browser: OpenBrowser) -> None:
    async with _visitor(open_browser) as (_, visitor, page, _context):
        await page.goto(f"{visitor.origin}/#key={KEY}")
        await expect(visitor.talk).to_be_visible()
        await page.goto(f"{visitor.origin}/label")
        await expect(page.get_by_role("textbox")).to_be_visible()
        await page.evaluate("sessionStorage.clear()")  # as a sign-out elsewhere leaves it
        await page.go_back()
        await expect(page.get_by_role("heading", name="登入快美")).to_be_visible()
        visitor.at_ease()


async def test_a_key_that_is_revoked_ends_it_at_once(open_browser: OpenBrowser) -> None:
    prefer = {"transport": "websocket"}
    async with _visitor(open_browser, prefer=prefer) as (_, visitor, page, context):
        await context.add_init_script(
            "window.sockets = [];"
            "window.WebSocket = class extends WebSocket {"
            "  constructor(...all) { super(...all); window.sockets.push(this); } };"
        )
        await page.goto(f"{visitor.origin}/#key={KEY}")
        await expect(visitor.talk).to_be_visible()
        await visitor.write("你好")
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        # As the server says it (its own part of it is tested there).
        await page.evaluate(
            "window.sockets.at(-1).onclose(new CloseEvent('close', {code: 1008, reason: 'key_revoked'}))"
        )
        await expect(page.locator("[data-why=revoked]")).to_contain_text("已經被撤銷")
        assert await axe_findings(page) == []
        assert await _stored(page) == json.dumps({"local": [], "session": []})
        visitor.at_ease()


async def test_a_key_that_stops_being_accepted_while_it_is_in_use(open_browser: OpenBrowser) -> None:
    async with _visitor(open_browser) as (_, visitor, page, context):
        await page.goto(f"{visitor.origin}/#key={KEY}")
        await expect(visitor.talk).to_be_visible()
        await page.get_by_label("設定", exact=True).click()
        await expect(page.locator("[data-account]")).to_be_visible()
        await page.keyboard.press("Escape")
        await context.route(
            "**/api/sessions?*",
            lambda route: route.fulfill(status=401, json={"error": {"code": "invalid_api_key"}}),
        )
        await page.get_by_label("搜尋說過的話").fill("雨")
        await expect(page.locator("[data-why=revoked]")).to_be_visible()
        visitor.at_ease()


@pytest.mark.parametrize("path", ["/listen", "/label"])
async def test_the_pages_beside_the_conversation_ask_for_a_key_as_well(
    open_browser: OpenBrowser, path: str
) -> None:
    async with _visitor(open_browser, expected=[*_UNAUTHORISED, "404"]) as (_, visitor, page, _context):
        await page.goto(f"{visitor.origin}{path}")
        await page.get_by_label("金鑰", exact=True).fill(KEY)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(page.get_by_role("heading", name="登入快美")).to_have_count(0)
        assert page.url.endswith(path)
        visitor.at_ease()


async def test_where_no_key_is_needed_the_browser_can_be_cleared_all_the_same(
    open_browser: OpenBrowser,
) -> None:
    person = Person(me={"via": "open", "name": "local"})
    async with (
        serving(_runtime(key="")) as served,
        open_browser() as browser,
        visiting(
            browser, served.url, person=person, prefer={"rater": "小美"}, expected=[_HUNG_UP]
        ) as visitor,
    ):
        page = visitor.page
        await visitor.arrive()
        await visitor.write("只有我知道的事")
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        await page.get_by_label("設定", exact=True).click()
        await expect(page.locator("[data-account=open]")).to_contain_text("不需要登入")
        await expect(page.get_by_role("button", name="登出")).to_have_count(0)
        await page.get_by_role("button", name="清除這個瀏覽器").click()
        await expect(page.get_by_text("只有我知道的事")).to_have_count(0)
        await expect(visitor.talk).to_be_visible()
        assert "小美" not in await _stored(page)
        visitor.at_ease()
