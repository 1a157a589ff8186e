"""A whole turn in a real browser with the real models: said by Kokoro, heard by Whisper, answered aloud."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from playwright.async_api import async_playwright, expect

from kuaimei.audio.pcm import ASR_RATE
from kuaimei.audio.resample import resample
from kuaimei.settings import Settings
from tests.browser.room import visiting
from tests.integration.conftest import Spoken, kokoro_source, settings, spoken

__all__ = ["kokoro_source", "settings", "spoken"]

pytestmark = pytest.mark.models

_SENTENCE = "請問台灣最高的山是哪一座"
_START_S = 180


@pytest.fixture(scope="module")
def origin(built_page: Path) -> Iterator[str]:
    """The server as `kuaimei serve` runs it, with a data folder of its own."""
    real = Settings()
    home = Path(tempfile.mkdtemp(prefix="kuaimei-browser-"))
    (home / "models").symlink_to(real.weights_dir)
    if (measured := real.home / "runtime.json").exists():
        (home / "runtime.json").write_bytes(measured.read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KUAIMEI_")}
    environment = {**kept, "KUAIMEI_HOME": str(home), "KUAIMEI_LLM": "qwen2.5-coder-0.5b"}
    log = home / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kuaimei", "serve", "--port", str(port)],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _await_ready(address, process, log)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        shutil.rmtree(home, ignore_errors=True)


def _await_ready(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(_START_S * 2):
        if process.poll() is not None:
            pytest.fail(f"the server ended:\n{log.read_text(encoding='utf-8', errors='replace')}")
        try:
            with urlopen(f"{address}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            pass
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    pytest.fail(f"the server was not ready in {_START_S} s")


@pytest.mark.parametrize(("transport", "name"), [("auto", "WebRTC"), ("websocket", "WebSocket")])
async def test_a_whole_turn_is_heard_and_kept(
    chromium: str, origin: str, spoken: Spoken, tmp_path: Path, transport: str, name: str
) -> None:
    speech = resample(spoken(_SENTENCE), ASR_RATE, 48_000)
    clip = tmp_path / "microphone.wav"
    with wave.open(str(clip), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(
            np.concatenate([np.zeros(96_000, np.int16), speech, np.zeros(60 * 48_000, np.int16)]).tobytes()
        )
    given = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={clip}%noloop",
        "--autoplay-policy=no-user-gesture-required",
        "--no-sandbox",
        "--disable-features=WebRtcHideLocalIpsWithMdns",
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=given)
        try:
            async with visiting(browser, origin, prefer={"transport": transport}) as visitor:
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
                # Both sides can be heard again.
                await expect(user.get_by_label("重播")).to_be_visible(timeout=60_000)
                await assistant.get_by_label("重播").click(timeout=120_000)
                await expect(visitor.page.locator("[data-state=ready] canvas").first).to_be_attached(
                    timeout=30_000
                )
                visitor.at_ease()
        finally:
            await browser.close()
