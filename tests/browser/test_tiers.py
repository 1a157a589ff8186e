"""Fast, then beautiful: the second rendering takes over between two clauses, and both can be heard again."""

from dataclasses import replace
from typing import Any

import pytest
from playwright.async_api import Route, expect

from kuaimei.audio.encode import encode
from kuaimei.dialogue.events import ClauseReady
from kuaimei.rendering.broadcast import Ready
from kuaimei.rendering.hq_tier import HqTier
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.store.rows import Boundary, Rendering
from tests.browser.chat_page import ANSWER, Visitor, axe_findings, room_engines, visiting
from tests.browser.conftest import OpenBrowser
from tests.browser.test_talking import TRANSPORTS, WATCH_LEVELS
from tests.support.fakes import FakeLanguageModel, FakeSynthesizer, said
from tests.support.server.app_server import InMemoryRuntime, MemoryArchive, eventually, serving

_SLOWER = 1.25
"""The beautiful rendering takes its time."""
_CHARACTER_MS = 160.0


def _runtime(reply: str = ANSWER) -> InMemoryRuntime:
    engines = room_engines(
        language_model=FakeLanguageModel(reply=reply, first_token_s=0.0, token_s=0.0),
        synthesizer=FakeSynthesizer(delay_s=0.02, character_ms=_CHARACTER_MS),
    )
    return InMemoryRuntime(engines=engines, store=MemoryArchive(), hq=HqTier(ModelCache(1000.0)))


def _rendering(clauses: tuple[Boundary, ...] = (), state: Any = "ready", data: bytes = b"-") -> Rendering:
    size = len(data) if state == "ready" else None
    return Rendering(
        state, "zf_one", "kokoro-fp32", 9000.0, 24_000, size, "cd" * 32 if size else None, clauses, None
    )


def _sound(characters: int) -> bytes:
    audio = FakeSynthesizer(character_ms=_CHARACTER_MS * _SLOWER).audio("美" * characters)
    return encode(audio, 24_000, "flac")


class _Desk:
    """Where the beautiful rendering of what is being said comes from."""

    def __init__(self, runtime: InMemoryRuntime, sound: bytes) -> None:
        self.asked = 0
        self._runtime = runtime
        self._sound = sound

    async def install(self, visitor: Visitor) -> None:
        await visitor.context.route("**/api/recordings/*/audio?tier=hq", self._answer)

    async def _answer(self, route: Route) -> None:
        self.asked += 1
        await route.fulfill(body=self._sound, content_type="audio/flac")

    def clauses(self) -> list[ClauseReady]:
        return [e for events in self._runtime.events.values() for e in events if isinstance(e, ClauseReady)]

    async def announce(self) -> None:
        """Once it is known where three clauses of the fast one begin."""
        await eventually(lambda: len(self.clauses()) >= 3)
        known = self.clauses()
        spans = [
            Boundary(clause.index, clause.start_ms * _SLOWER, clause.start_ms * _SLOWER + 500.0)
            for clause in known
        ]
        (session,) = self._runtime.conversations
        hq = self._runtime.hq
        assert hq is not None
        hq.announcements.publish(Ready(session, known[0].turn, "utt_live", _rendering(tuple(spans))))


@pytest.mark.parametrize(("transport", "name"), TRANSPORTS)
async def test_it_takes_over_between_two_clauses(
    open_browser: OpenBrowser, transport: str, name: str
) -> None:
    runtime = _runtime()
    desk = _Desk(runtime, _sound(len(ANSWER)))
    async with (
        serving(runtime) as served,
        open_browser() as browser,
        visiting(browser, served.url, prefer={"transport": transport}, scripts=[WATCH_LEVELS]) as visitor,
    ):
        await desk.install(visitor)
        await visitor.arrive()
        await visitor.write("你好")
        await expect(visitor.page.locator("[data-spoken]")).to_be_visible(timeout=15_000)
        await desk.announce()
        mark = visitor.page.locator("[data-tier]")
        await expect(mark).to_have_attribute("data-tier", "playing", timeout=15_000)
        await expect(visitor.talk).to_have_attribute("data-mood", "speaking")
        # What is being said stands out as before, and the fast one is silent.
        await expect(visitor.page.locator("[data-spoken]")).to_contain_text("記得", timeout=15_000)
        beautiful, fast = await visitor.page.evaluate(_HEARD)
        assert beautiful > 0.05
        assert fast < 0.002
        # It is slower: the server has come to the end of its own before.
        await expect(visitor.lines("assistant")).to_have_attribute("data-status", "done", timeout=15_000)
        await expect(mark).to_have_attribute("data-tier", "ready", timeout=15_000)
        await expect(visitor.talk).to_have_attribute("data-mood", "idle")
        visitor.at_ease()


_HEARD = """() => {
  // The page's meters, in the order in which they were first read; the latest is the beautiful one.
  const last = seen.filter(([at]) => at > performance.now() - 300);
  const ids = [...new Set(seen.map(([, id]) => id))].filter((id) => id !== 'muted');
  const loudest = (id) => Math.max(0, ...last.filter(([, one]) => one === id).map(([, , rms]) => rms));
  const muted = [...document.querySelectorAll('audio[data-kuaimei]')].every((element) => element.muted);
  const live = document.querySelectorAll('audio[data-kuaimei]').length;
  return [loudest(Math.max(...ids)), live && muted ? 0 : loudest(Math.max(...ids) - 1)];
}"""


async def test_speech_over_it_silences_it_and_the_server_learns_what_was_heard(
    open_browser: OpenBrowser,
) -> None:
    reply = ANSWER * 3
    runtime = _runtime(reply)
    desk = _Desk(runtime, _sound(len(reply)))
    model: Any = runtime.engines.language_model
    async with (
        serving(runtime) as served,
        open_browser(1.0, 1.4, 7.0, 2.0, 600.0) as browser,
        visiting(browser, served.url, scripts=[WATCH_LEVELS]) as visitor,
    ):
        await desk.install(visitor)
        await visitor.arrive()
        await visitor.talk.click()
        await expect(visitor.page.locator("[data-spoken]")).to_be_visible(timeout=15_000)
        await desk.announce()
        await expect(visitor.page.locator("[data-tier]")).to_have_attribute(
            "data-tier", "playing", timeout=15_000
        )
        first = visitor.lines("assistant").first
        await expect(first).to_have_attribute("data-status", "interrupted", timeout=20_000)
        await expect(first.locator("[data-tier]")).to_have_attribute("data-tier", "ready")
        await expect(visitor.lines("assistant")).to_have_count(2, timeout=15_000)
        silence_ms = await visitor.page.evaluate(_SILENT_AFTER)
        print(f"\nsilent {silence_ms:.0f} ms after speech began")
        assert silence_ms < 1_500
        await eventually(lambda: len(model.requests) >= 2)
        heard = next(m.content for m in reversed(model.requests[-1].messages) if m.role == "assistant")
        assert reply.startswith(heard[:5])
        assert 5 < len(heard) < len(reply)
        visitor.at_ease()


_SILENT_AFTER = """() => {
  const beautiful = Math.max(...seen.map(([, id]) => id).filter((id) => id !== 'muted'));
  const sound = seen.filter(([, id, rms]) => id === beautiful && rms >= 0.002).map(([at]) => at);
  const spoke = seen.find(([at, id, rms]) => id === 0 && at > sound[0] + 300 && rms > 0.03)[0];
  return Math.max(spoke, ...sound) - spoke;
}"""


async def test_both_can_be_heard_again_and_it_takes_over_only_where_that_is_wished(
    open_browser: OpenBrowser,
) -> None:
    runtime = _runtime()
    archive = runtime.store
    assert archive is not None
    sound = encode(said("你好"), 16_000, "flac")
    archive.put("sess_rain", "會下雨嗎", ANSWER, sound=sound)
    asked, answered = archive.said["sess_rain"]
    archive.said["sess_rain"] = [asked, replace(answered, hq=_rendering(state="rendering"))]
    desk = _Desk(runtime, sound)
    async with (
        serving(runtime) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        page = visitor.page
        await desk.install(visitor)
        await visitor.arrive("/#/s/sess_rain")
        reply = visitor.lines("assistant").first
        mark = reply.locator("[data-tier]")
        await expect(mark).to_have_attribute("data-tier", "rendering")
        assert await axe_findings(page) == []
        archive.said["sess_rain"] = [asked, replace(answered, hq=_rendering())]
        await expect(mark).to_have_attribute("data-tier", "ready", timeout=15_000)  # it is asked for
        await reply.hover()
        await reply.get_by_label("重播").click()
        await expect(reply.locator("[data-state=ready]")).to_be_visible()
        assert desk.asked == 1
        assert await axe_findings(page) == []
        async with page.expect_request(lambda request: request.url.endswith("/audio")):
            await reply.get_by_role("radiogroup", name="要聽哪一個版本").get_by_text("快").click()
        await expect(reply.locator("[data-state=ready]")).to_be_visible()
        assert desk.asked == 1

        await page.get_by_label("設定", exact=True).click()
        switch = page.get_by_role("radiogroup", name="自動換成美的版本")
        await switch.get_by_text("關", exact=True).click()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await visitor.write("那就好")
        live = visitor.lines("assistant").last
        await expect(live.locator("[data-spoken]")).to_be_visible(timeout=15_000)
        await desk.announce()
        await expect(live).to_have_attribute("data-status", "done", timeout=20_000)
        await expect(live.locator("[data-tier]")).to_have_attribute("data-tier", "ready")
        assert desk.asked == 1  # nobody wanted to hear it
        visitor.at_ease()
