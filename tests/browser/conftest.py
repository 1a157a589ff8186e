"""Debian's Chromium with a fake microphone, and the page, built if it is not."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from playwright.async_api import Browser, async_playwright, expect

import hatch_build
from bench.browser import arguments, find_chromium
from kuaimei.server.static_page import FOLDER
from tests.browser.chat_page import ROOT, speech_file

OpenBrowser: TypeAlias = Callable[..., AbstractAsyncContextManager[Browser]]

expect.set_options(timeout=20_000)  # ms: a busy machine draws a page late


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; without one these tests are skipped, and say so."""
    found = find_chromium()
    if found is None:
        pytest.skip("there is no Chromium on this machine: apt install chromium fonts-noto-cjk")
    return found


@pytest.fixture(scope="session")
def built_page() -> Path:
    """The page as its sources are now, and what its own tests need."""
    try:
        hatch_build.install(ROOT)
        hatch_build.build_page(ROOT)
    except SystemExit as failed:
        pytest.fail(str(failed), pytrace=False)
    return FOLDER


@pytest.fixture
def open_browser(chromium: str, built_page: Path, tmp_path: Path) -> OpenBrowser:
    """``open_browser(1.0, 2.0, 5.0)``: a browser whose microphone hears silence, speech, silence …"""

    @asynccontextmanager
    async def opened(
        *speech: float, extra: tuple[str, ...] = (), allow: bool = True
    ) -> AsyncIterator[Browser]:
        clip = speech_file(tmp_path / "microphone.wav", *(speech or (600.0,)))
        given = [*arguments(clip, allow=allow), *extra]
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=given)
            try:
                yield browser
            finally:
                await browser.close()

    return opened
