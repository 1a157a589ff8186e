"""Chromium with a fake microphone that plays a file."""

import json
import shutil
import wave
from pathlib import Path

import numpy as np
from playwright.async_api import Page

from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.audio.resample import resample

__all__ = ["arguments", "find_chromium", "microphone_file", "preferring", "start_talking"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_RATE = 48_000


def find_chromium() -> str | None:
    """Return the path of the browser; None if there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def arguments(clip: Path | None = None, *, allow: bool = True) -> list[str]:
    """Return the arguments to start the browser with.

    Args:
        clip: WAV file that the microphone plays, once; None: the page supplies a microphone of its own.
        allow: Grant access to the microphone without asking.
    """
    return [
        "--use-fake-device-for-media-stream",
        *(["--use-fake-ui-for-media-stream"] if allow else []),
        *([f"--use-file-for-fake-audio-capture={clip}%noloop"] if clip is not None else []),
        "--autoplay-policy=no-user-gesture-required",
        "--no-sandbox",
        "--disable-features=WebRtcHideLocalIpsWithMdns",
    ]


def microphone_file(path: Path, speech: Pcm, *, before_s: float = 2.0, after_s: float = 60.0) -> Path:
    """Write ``speech`` (16 kHz) between silences to ``path``, as WAV at 48 kHz; return the path.

    Args:
        path: File to write.
        speech: Int16 samples at 16 kHz.
        before_s: Seconds of silence before.
        after_s: Seconds of silence after.
    """
    silence = [np.zeros(int(seconds * _RATE), np.int16) for seconds in (before_s, after_s)]
    samples = np.concatenate([silence[0], resample(speech, ASR_RATE, _RATE), silence[1]])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def preferring(**preferences: object) -> str:
    """Return a script that gives a page these preferences, as if set on an earlier visit."""
    return f"localStorage.setItem('kuaimei.preferences', {json.dumps(json.dumps(preferences))})"


async def start_talking(page: Page, patience_ms: float) -> None:
    """Switch the microphone on, and agree to the recording if the page asks for consent."""
    talk = page.locator("[data-talk]")
    await talk.click()
    question = page.locator("[data-notice]")
    listening = page.locator("[data-talk]:not([data-mood=idle], [data-mood=connecting])")
    await question.or_(listening).first.wait_for(timeout=patience_ms)
    if await question.is_visible():
        await question.get_by_role("button").last.click()
