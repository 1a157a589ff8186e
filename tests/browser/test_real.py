"""A whole turn in a real browser with the real models: said by Kokoro, heard by Whisper, answered aloud."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from bench.browser import arguments, microphone_file
from bench.server_process import server_process
from bench.taps import SCRIPT, correlation, kept_reply, recorded
from tests.browser.room import visiting
from tests.integration.conftest import Spoken, kokoro_source, settings, spoken

__all__ = ["kokoro_source", "settings", "spoken"]

pytestmark = pytest.mark.models

_SENTENCE = "請問台灣最高的山是哪一座"


@pytest.fixture(scope="module")
def origin(built_page: Path) -> Iterator[str]:
    """The server as it is run, with the small language model."""
    with server_process(KUAIMEI_LLM="qwen2.5-coder-0.5b") as address:
        yield address


@pytest.mark.parametrize(("transport", "name"), [("auto", "WebRTC"), ("websocket", "WebSocket")])
async def test_a_whole_turn_is_heard_and_kept(
    chromium: str, origin: str, spoken: Spoken, tmp_path: Path, transport: str, name: str
) -> None:
    clip = microphone_file(tmp_path / "microphone.wav", spoken(_SENTENCE))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments(clip))
        try:
            async with visiting(
                browser, origin, prefer={"transport": transport}, scripts=[SCRIPT], bypass_csp=True
            ) as visitor:
                await visitor.arrive()
                await visitor.talk.click()
                await expect(visitor.status).to_contain_text(name, timeout=30_000)
                user, assistant = visitor.lines("user").first, visitor.lines("assistant").first
                await expect(user).to_have_attribute("data-status", "hearing", timeout=30_000)
                await expect(user).to_contain_text(re.compile("[請最高山]"), timeout=30_000)  # a caption
                await expect(user).to_have_attribute("data-status", "done", timeout=60_000)
                await expect(user).to_contain_text("最高的山")
                await expect(visitor.talk).to_have_attribute("data-mood", "speaking", timeout=60_000)
                await expect(assistant.locator("[data-timing]")).to_contain_text(
                    re.compile(r"\d\.\d\d 秒"), timeout=120_000
                )
                print(f"\n{name}: {await assistant.locator('[data-timing]').inner_text()} to the first sound")
                await expect(visitor.talk).to_have_attribute("data-mood", "listening", timeout=120_000)
                heard = (await recorded(visitor.page)).loudspeaker
                sent = await kept_reply(visitor.page)
                match = correlation(heard, sent)
                print(f"{name}: what was played matches what was sent by {match:.3f}")
                assert match > 0.8  # other speech: 0.4
                # Both sides can be heard again.
                await expect(user.get_by_label("重播")).to_be_visible(timeout=60_000)
                await assistant.get_by_label("重播").click(timeout=120_000)
                await expect(visitor.page.locator("[data-state=ready] canvas").first).to_be_attached(
                    timeout=30_000
                )
                visitor.at_ease()
        finally:
            await browser.close()
