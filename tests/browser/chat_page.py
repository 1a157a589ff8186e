"""A chat room with fake engines, and somebody who sits in front of it in a real browser."""

import json
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.engines import Engines
from kuaimei.engines.types import Language, STTChunk
from tests.browser.person import Person
from tests.support.fakes import FakeLanguageModel, FakeRecognizer, FakeSynthesizer
from tests.support.server.app_server import InMemoryRuntime, eventually, quick_engines
from tests.support.server.webrtc_client import LoudVad

__all__ = [
    "ANSWER",
    "QUESTION",
    "ROOT",
    "Visitor",
    "axe_findings",
    "room_engines",
    "speech_file",
    "visiting",
]

QUESTION = "明天台北會下雨嗎？"
ANSWER = "會，下午大概有陣雨。最高二十六度，早晚偏涼，記得帶把傘和一件薄外套。"

ROOT = Path(__file__).resolve().parents[2]
_AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
_RATE = 48_000

# Once what moves has come to rest: colours in the middle of a fade are nobody's.
_AT_REST = """Promise.all(
  document.getAnimations()
    .filter((moving) => moving.effect.getTiming().iterations !== Infinity)
    .map((moving) => moving.finished.catch(() => {}))
)"""


class _Captions:
    """Understands a little more of `QUESTION` with every push: sound from a browser spells nothing."""

    def __init__(self) -> None:
        self._samples = 0
        self._shown = ""

    async def push(self, pcm: Pcm) -> STTChunk | None:
        self._samples += len(pcm)
        text = QUESTION[: min(len(QUESTION) - 1, self._samples // 3200)]
        if text == self._shown:
            return None
        self._shown = text
        return STTChunk(text=text, is_final=False)

    async def close(self) -> None:
        pass


class _Captioner:
    def open(self, language: Language) -> _Captions:
        return _Captions()


def room_engines(**replaced: Any) -> Engines:
    """Engines that hear what came through a browser: what is loud is `QUESTION`, and `ANSWER` answers it."""
    parts: dict[str, Any] = {
        "vad": LoudVad,
        "captioner": _Captioner(),
        "recognizer": FakeRecognizer(text=QUESTION, delay_s=0.1),
        "language_model": FakeLanguageModel(reply=ANSWER, first_token_s=0.1, token_s=0.02),
        "synthesizer": FakeSynthesizer(delay_s=0.1, voices=("zf_one", "zm_two", "af_three")),
    }
    return quick_engines(**{**parts, **replaced})


def speech_file(path: Path, *parts: float) -> Path:
    """A WAV file for the fake microphone: silence, speech, silence … of so many seconds each."""
    rng = np.random.default_rng(7)
    pieces = []
    for number, seconds in enumerate(parts):
        t = np.arange(int(seconds * _RATE)) / _RATE
        if number % 2 == 0:
            pieces.append(np.zeros(len(t)))
            continue
        # A voice's pitch moves and its loudness comes in syllables: noise suppression lets that pass.
        pitch = 180.0 + 40.0 * np.sin(2 * np.pi * 2.0 * t)
        loudness = 0.25 + 0.15 * np.sin(2 * np.pi * 4.0 * t)
        harmonics = sum(np.sin(2 * np.pi * np.cumsum(k * pitch) / _RATE) / k for k in range(1, 6))
        pieces.append(loudness * harmonics + 0.01 * rng.standard_normal(len(t)))
    pcm = (np.clip(np.concatenate(pieces), -1.0, 1.0) * 32_000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(pcm.tobytes())
    return path


@dataclass
class Visitor:
    """Somebody at the page.

    Attributes:
        complaints: What the browser's console complained of.
        strangers: Addresses of other hosts that the page asked for something.
        person: As whom the server knows them.
    """

    page: Page
    context: BrowserContext
    origin: str
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    person: Person = field(default_factory=Person)

    async def arrive(self, path: str = "/") -> None:
        """Open the page."""
        await self.page.goto(self.origin + path)
        await expect(self.talk).to_be_visible()

    @property
    def talk(self) -> Any:
        """The talk button."""
        return self.page.locator("[data-talk]")

    @property
    def status(self) -> Any:
        """The status line."""
        return self.page.locator("header [role=status]")

    def lines(self, side: str) -> Any:
        """What was said by ``user`` or ``assistant``."""
        return self.page.locator(f"li[data-side={side}]")

    def notice(self, kind: str) -> Any:
        """A sentence about what stands in the way."""
        return self.page.locator(f"[data-problem={kind}]")

    async def write(self, text: str) -> None:
        """Type instead of speaking."""
        await self.page.locator("form textarea").last.fill(text)
        await self.page.keyboard.press("Enter")

    async def leave(self, runtime: InMemoryRuntime) -> None:
        """Close the page, and see the server notice."""
        before = len(runtime.ended)
        await self.page.goto("about:blank")
        await eventually(lambda: len(runtime.ended) > before)

    def at_ease(self) -> None:
        """Nothing was complained of, and nobody else was asked for anything."""
        assert self.complaints == [], self.complaints
        assert self.strangers == [], self.strangers


@asynccontextmanager
async def visiting(
    browser: Browser,
    origin: str,
    *,
    prefer: dict[str, Any] | None = None,
    scripts: Sequence[str] = (),
    expected: Sequence[str] = (),
    person: Person | None = None,
    **options: Any,
) -> AsyncIterator[Visitor]:
    """Somebody with a browser of their own, before they have opened the page.

    Args:
        prefer: What their browser remembers of earlier visits.
        scripts: Run before the page's own.
        expected: Complaints that are part of the test.
        person: As whom the server is to know them; None: somebody who has accepted the notice.
        options: Of the browser context.
    """
    context = await browser.new_context(**{"locale": "zh-TW", **options})
    try:
        page = await context.new_page()
        visitor = Visitor(page, context, origin, person=person or Person())
        await visitor.person.install(context)
        page.on("console", lambda message: _note(visitor, message, expected))
        page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        page.on("request", lambda request: _ask(visitor, request))
        if prefer is not None:
            await context.add_init_script(
                f"if (!localStorage.getItem('kuaimei.preferences')) "
                f"localStorage.setItem('kuaimei.preferences', {json.dumps(json.dumps(prefer))})"
            )
        for script in scripts:
            await context.add_init_script(script)
        yield visitor
        await page.goto("about:blank")  # as somebody who leaves: the page says goodbye
    finally:
        await context.unroute_all(behavior="ignoreErrors")  # what is still being asked is nobody's business
        await context.close()


def _note(visitor: Visitor, message: ConsoleMessage, expected: Sequence[str]) -> None:
    told = f"{message.text} ({message.location.get('url', '')})"
    if message.type in {"error", "warning"} and not any(part in told for part in expected):
        visitor.complaints.append(told)


def _ask(visitor: Visitor, request: Request) -> None:
    if not request.url.startswith((visitor.origin, f"blob:{visitor.origin}", "data:")):
        visitor.strangers.append(request.url)


async def axe_findings(page: Page) -> list[str]:
    """Serious findings of axe on the page as it stands."""
    await page.evaluate(_AT_REST)
    await page.evaluate(_AXE.read_text(encoding="utf-8"))
    result = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{found['id']} ({found['impact']}): {node['html'][:200]} {node.get('failureSummary', '')}"
        for found in result["violations"]
        if found["impact"] in {"serious", "critical"}
        for node in found["nodes"]
    ]
