"""A page from another machine's address: over HTTPS it may use the microphone; and the page before that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import expect

from kuaimei.http.bind import bind_socket
from kuaimei.server.app import create_app
from kuaimei.server.https.hostnames import names_of
from kuaimei.server.https.serve import Https, open_https, with_own_names
from kuaimei.server.serve import make_server
from tests.browser.chat_page import ANSWER, axe_findings, room_engines, visiting
from tests.browser.conftest import OpenBrowser
from tests.browser.person import Person
from tests.support.server.app_server import KEY, InMemoryRuntime, MemoryArchive, eventually, make_settings


@asynccontextmanager
async def _serving(home: Path) -> AsyncIterator[Https]:
    """A server that other machines reach over HTTPS."""
    settings = with_own_names(make_settings(home=home, key=KEY, https=True, host="0.0.0.0"))
    runtime = InMemoryRuntime(settings=settings, engines=room_engines(), store=MemoryArchive())
    with bind_socket(settings.server) as listening:
        async with open_https(settings, listening) as secure:
            server = make_server(create_app(runtime), settings.server, secure.context)
            running = asyncio.ensure_future(server.serve(sockets=[listening.dup()]))
            await eventually(lambda: server.started or running.done())
            try:
                yield secure
            finally:
                server.should_exit = True
                await running


def _addressed(one: str, home: Path) -> str:
    """``one`` of the server's addresses, by the machine's own address instead of its name."""
    settings = make_settings(home=home, key=KEY, https=True, host="0.0.0.0").server
    own = [address for address in names_of(settings).addresses if address.version == 4]
    if all(address.is_loopback for address in own):
        pytest.skip("this machine has no address that another one could reach it by")
    scheme, port = one.partition("://")[0], one.rsplit(":", 1)[1]
    return f"{scheme}://{own[0]}:{port}"


@pytest.mark.parametrize("transport", ["auto", "websocket"])
async def test_the_microphone_may_be_used_at_the_address_of_another_machine(
    open_browser: OpenBrowser, tmp_path: Path, transport: str
) -> None:
    async with (
        _serving(tmp_path) as secure,
        open_browser(2.0, 1.5, 600.0) as browser,
        visiting(
            browser,
            _addressed(secure.addresses[0], tmp_path),
            ignore_https_errors=True,  # whether it is trusted is tested with clients that can be told to
            prefer={"transport": transport},
        ) as visitor,
    ):
        await visitor.page.goto(f"{visitor.origin}/#key={KEY}")
        await visitor.talk.click()
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER, timeout=30_000)
        assert await visitor.page.evaluate("isSecureContext")
        visitor.at_ease()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_the_page_that_gives_the_certificate(
    open_browser: OpenBrowser, tmp_path: Path, width: int, scheme: str
) -> None:
    async with (
        _serving(tmp_path) as secure,
        open_browser() as browser,
        visiting(
            browser,
            _addressed(secure.pages[0], tmp_path),
            color_scheme=scheme,
            viewport={"width": width, "height": 900},
            expected=["Cross-Origin-Opener-Policy"],
            person=Person(),
        ) as visitor,
    ):
        page = visitor.page
        await page.goto(visitor.origin)
        await expect(page.get_by_text(secure.fingerprint)).to_be_visible()
        await page.get_by_text("iPhone, iPad").click()
        await expect(page.get_by_text("憑證信任設定")).to_be_visible()
        assert await axe_findings(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await page.screenshot(path=tmp_path / "certificate.png", full_page=True)
        async with page.expect_download() as downloading:
            await page.get_by_role("link", name="下載憑證").first.click()
        assert (await downloading.value).suggested_filename == "kuaimei.mobileconfig"
        visitor.at_ease()
