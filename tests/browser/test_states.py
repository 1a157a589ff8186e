"""What stands in the way is said, in a sentence, with what to do; and it goes away by itself where it can."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import expect

from kuaimei.server.app import create_app
from kuaimei.server.serve import make_server
from kuaimei.server.startup_app import StartupApp
from tests.browser.chat_page import ANSWER, axe_findings, room_engines, visiting
from tests.browser.conftest import OpenBrowser
from tests.support.server.app_server import (
    KEY,
    InMemoryRuntime,
    MemoryArchive,
    eventually,
    make_settings,
    serving,
)

FAILURES = [
    ("NotFoundError", "no-microphone", "找不到麥克風"),
    ("NotReadableError", "microphone-busy", "麥克風正被別的程式使用"),
    ("TypeError", "unsupported", "這個瀏覽器沒辦法錄音"),
]


def _runtime(**server: Any) -> InMemoryRuntime:
    return InMemoryRuntime(settings=make_settings(**server), engines=room_engines(), store=MemoryArchive())


@pytest.mark.parametrize(("error", "kind", "title"), FAILURES)
async def test_a_microphone_that_is_not_given(
    open_browser: OpenBrowser, error: str, kind: str, title: str
) -> None:
    fails = (
        f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('no', '{error}'); }};"
    )
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url, scripts=[fails]) as visitor,
    ):
        await visitor.arrive()
        await visitor.talk.click()
        await expect(visitor.notice(kind)).to_contain_text(title)
        await expect(visitor.talk).to_have_attribute("data-mood", "idle")
        assert await axe_findings(visitor.page) == []
        await visitor.page.get_by_role("button", name="Switch to English").click()
        await expect(visitor.notice(kind)).not_to_contain_text(title)
        await visitor.write("你好")  # typing works all the same
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        visitor.at_ease()


async def test_permission_denied(open_browser: OpenBrowser) -> None:
    async with (
        serving(_runtime()) as served,
        open_browser(allow=False) as browser,  # nobody answers the browser's question: it counts as no
        visiting(browser, served.url) as visitor,
    ):
        await visitor.arrive()
        await visitor.talk.click()
        await expect(visitor.notice("denied")).to_contain_text("麥克風被封鎖了")
        visitor.at_ease()


async def test_a_page_over_plain_http_from_another_machine(open_browser: OpenBrowser) -> None:
    async with (
        serving(_runtime(key=KEY, allowed_hosts=("kuaimei.test",))) as served,
        open_browser(extra=("--host-resolver-rules=MAP kuaimei.test 127.0.0.1",)) as browser,
        visiting(
            browser,
            f"http://kuaimei.test:{served.port}",
            scripts=[f"localStorage.setItem('kuaimei.key', '{KEY}')"],
            expected=["Cross-Origin-Opener-Policy"],
        ) as visitor,
    ):
        await visitor.arrive()
        await visitor.talk.click()
        await expect(visitor.notice("insecure")).to_contain_text("https")
        await visitor.write("你好")
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        visitor.at_ease()


async def test_models_are_still_loading(open_browser: OpenBrowser) -> None:
    runtime = _runtime()
    door = StartupApp(runtime.settings, expecting=("asr", "llm", "tts", "vad"))
    server = make_server(door, runtime.settings.server)
    running = asyncio.ensure_future(server.serve())
    await eventually(lambda: server.started or running.done())
    origin = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        async with open_browser() as browser, visiting(browser, origin) as visitor:
            await visitor.arrive()
            await expect(visitor.notice("loading")).to_contain_text("模型還在載入")
            door.progress("asr")
            door.progress("vad")
            await expect(visitor.notice("loading")).to_contain_text("50%")
            await visitor.write("你好")  # it waits, and is said when somebody can hear it
            async with door.opened(create_app(runtime)):
                await expect(visitor.lines("assistant")).to_contain_text(ANSWER, timeout=15_000)
                await expect(visitor.notice("loading")).to_have_count(0)
                visitor.at_ease()
    finally:
        server.should_exit = True
        await running


async def test_the_queue_is_visible_and_moves(open_browser: OpenBrowser) -> None:
    async with (
        serving(_runtime(max_sessions=1)) as served,
        open_browser() as browser,
        visiting(browser, served.url) as second,
    ):
        async with visiting(browser, served.url) as first:
            await first.arrive()
            await first.write("你好")
            await expect(first.lines("assistant")).to_contain_text(ANSWER)
            await second.arrive()
            await second.write("輪到我了嗎")
            await expect(second.notice("waiting")).to_contain_text("第 1 位")
            await expect(second.status).to_contain_text("排隊中")
            await first.leave(served.runtime)
            first.at_ease()
        await expect(second.lines("assistant")).to_contain_text(ANSWER, timeout=20_000)
        await expect(second.notice("waiting")).to_have_count(0)
        second.at_ease()


async def test_no_place_left_even_to_wait(open_browser: OpenBrowser) -> None:
    refused = ["503 (Service Unavailable)"]
    async with (
        serving(_runtime(max_sessions=1, max_waiting=0)) as served,
        open_browser() as browser,
        visiting(browser, served.url, expected=refused) as second,
    ):
        async with visiting(browser, served.url) as first:
            await first.arrive()
            await first.write("你好")
            await expect(first.lines("assistant")).to_contain_text(ANSWER)
            await second.arrive()
            await second.write("還有位子嗎")
            await expect(second.notice("full")).to_contain_text("位子都滿了", timeout=15_000)
            await first.leave(served.runtime)
        await expect(second.lines("assistant")).to_contain_text(ANSWER, timeout=20_000)
        await expect(second.notice("full")).to_have_count(0)
        second.at_ease()


@pytest.mark.parametrize("transport", ["auto", "websocket"])
async def test_the_server_restarts_and_the_conversation_goes_on(
    open_browser: OpenBrowser, transport: str
) -> None:
    runtime = _runtime()
    gone = ["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "WebSocket connection"]
    async with open_browser() as browser:
        async with serving(runtime) as served:
            port, origin = served.port, served.url
            visit = visiting(browser, origin, prefer={"transport": transport}, expected=gone)
            visitor = await visit.__aenter__()
            await visitor.arrive()
            await visitor.write("第一句")
            await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
            await expect(visitor.talk).to_have_attribute("data-mood", "idle", timeout=15_000)
        try:
            await expect(visitor.notice("offline")).to_contain_text("連不上伺服器", timeout=15_000)
            await expect(visitor.lines("user")).to_contain_text("第一句")
            assert await axe_findings(visitor.page) == []
            server = runtime.settings.server.model_copy(update={"port": port})
            runtime.settings = runtime.settings.model_copy(update={"server": server})
            async with serving(runtime):
                await expect(visitor.status).to_contain_text("已連線", timeout=30_000)
                await expect(visitor.notice("offline")).to_have_count(0)
                await visitor.write("第二句")
                await expect(visitor.lines("assistant")).to_have_count(2)
                await expect(visitor.lines("assistant").last).to_contain_text(ANSWER)
                assert len(runtime.conversations) == 1, "it went on as another session"
                visitor.at_ease()
        finally:
            await visit.__aexit__(None, None, None)


async def test_a_session_that_is_open_elsewhere(open_browser: OpenBrowser) -> None:
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url) as first,
        visiting(browser, served.url, expected=["409 (Conflict)"]) as second,
    ):
        await first.arrive()
        await first.write("你好")
        await expect(first.lines("assistant")).to_contain_text(ANSWER)
        assert served.runtime.store is not None
        session = next(iter(served.runtime.conversations))
        served.runtime.store.put(session, "你好", ANSWER)
        await second.arrive(f"/#/s/{session}")
        await expect(second.lines("user")).to_contain_text("你好")
        await second.write("我也在")
        await expect(second.notice("in-use")).to_contain_text("別的地方", timeout=15_000)
        await second.page.get_by_role("button", name="在這裡繼續").click()
        await expect(second.lines("assistant")).to_have_count(2)
        await expect(first.notice("in-use")).to_be_visible()
        first.at_ease()
        second.at_ease()
