"""Whole turns in a real browser, over both transports."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.chat_page import ANSWER, QUESTION, room_engines, visiting
from tests.browser.conftest import OpenBrowser
from tests.support.fakes import FakeLanguageModel, FakeSynthesizer
from tests.support.server.app_server import InMemoryRuntime, MemoryArchive, serving

TRANSPORTS = [("auto", "WebRTC"), ("websocket", "WebSocket")]

WATCH_LEVELS = """
  // What the page's analysers hear, at every frame, with the time.
  window.seen = [];
  const meters = [];
  const look = AnalyserNode.prototype.getFloatTimeDomainData;
  AnalyserNode.prototype.getFloatTimeDomainData = function (samples) {
    look.call(this, samples);
    if (!meters.includes(this)) meters.push(this);
  };
  const watch = () => {
    meters.forEach((meter, id) => {
      const samples = new Float32Array(meter.fftSize);
      look.call(meter, samples);
      const rms = Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
      window.seen.push([performance.now(), id, rms]);
    });
    requestAnimationFrame(watch);
  };
  requestAnimationFrame(watch);
  // An element that is muted is silent, whatever its stream still holds.
  const muted = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'muted');
  Object.defineProperty(HTMLMediaElement.prototype, 'muted', {
    get() { return muted.get.call(this); },
    set(value) {
      muted.set.call(this, value);
      if (value) window.seen.push([performance.now(), 'muted', 0]);
    },
  });
"""


@pytest.mark.parametrize(("transport", "name"), TRANSPORTS)
async def test_someone_speaks_and_is_answered(open_browser: OpenBrowser, transport: str, name: str) -> None:
    runtime = InMemoryRuntime(engines=room_engines(), store=MemoryArchive())
    async with (
        serving(runtime) as served,
        open_browser(1.5, 1.6, 600.0) as browser,
        visiting(browser, served.url, prefer={"transport": transport}, scripts=[WATCH_LEVELS]) as visitor,
    ):
        await visitor.arrive()
        await visitor.talk.click()
        await expect(visitor.status).to_contain_text(name)
        # A caption while it is being said, then the transcript.
        await expect(visitor.lines("user")).to_have_attribute("data-status", "hearing")
        await expect(visitor.lines("user")).to_contain_text(QUESTION[:3])
        await expect(visitor.lines("user")).to_contain_text(QUESTION)
        await expect(visitor.lines("user")).to_have_attribute("data-status", "done")
        # The reply as it is spoken: the clause that is heard stands out, one after the other.
        await expect(visitor.page.locator("[data-spoken]")).to_contain_text("會")
        await expect(visitor.talk).to_have_attribute("data-mood", "speaking")
        await expect(visitor.page.locator("[data-spoken]")).to_contain_text("最高")
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        await expect(visitor.page.locator("[data-timing]")).to_contain_text(re.compile(r"\d\.\d\d 秒"))
        loudest = await visitor.page.evaluate(
            "Math.max(...seen.filter(([, id]) => id === 1).map(([, , rms]) => rms))"
        )
        assert loudest > 0.05, "the reply was not to be heard"
        await expect(visitor.talk).to_have_attribute("data-mood", "listening")
        await expect(visitor.page.locator("[data-spoken]")).to_have_count(0)
        visitor.at_ease()


@pytest.mark.parametrize(("transport", "name"), TRANSPORTS)
async def test_speech_over_the_reply_silences_it(
    open_browser: OpenBrowser, transport: str, name: str
) -> None:
    engines = room_engines(
        language_model=FakeLanguageModel(reply=ANSWER * 2, first_token_s=0.0, token_s=0.0),
        synthesizer=FakeSynthesizer(delay_s=0.02, character_ms=300.0),
    )
    async with (
        serving(InMemoryRuntime(engines=engines)) as served,
        open_browser(1.0, 1.4, 4.0, 2.0, 600.0) as browser,
        visiting(browser, served.url, prefer={"transport": transport}, scripts=[WATCH_LEVELS]) as visitor,
    ):
        await visitor.arrive()
        await visitor.talk.click()
        first = visitor.lines("assistant").first
        await expect(visitor.talk).to_have_attribute("data-mood", "speaking")
        await expect(first).to_have_attribute("data-status", "interrupted", timeout=15_000)
        await expect(visitor.lines("assistant")).to_have_count(2, timeout=15_000)
        await expect(visitor.lines("user").last).to_contain_text(QUESTION)
        silence_ms = await visitor.page.evaluate(_SILENT_AFTER)
        print(f"\n{name}: silent {silence_ms:.0f} ms after speech began")
        # By the clock it is measured, not judged: but the speaker has not even finished.
        assert silence_ms < 1_500
        visitor.at_ease()


_SILENT_AFTER = """() => {
  // Whoever is loud first is the speaker, the other the reply: which the page looked at first, nobody knows.
  const meters = seen.filter(([, id]) => id !== 'muted');
  const speaker = meters.find(([, , rms]) => rms > 0.02)[1];
  const mic = meters.filter(([, id]) => id === speaker), reply = meters.filter(([, id]) => id !== speaker);
  const began = reply.find(([, , rms]) => rms > 0.02)[0];
  const spoke = mic.find(([at, , rms]) => at > began + 500 && rms > 0.03)[0];
  const heard = reply.filter(([at, , rms]) => at > spoke && rms >= 0.002).map(([at]) => at);
  // Silent from when nothing more comes for half a second: between two clauses there is a pause too.
  const last = heard.find((at, index) => (heard[index + 1] ?? Infinity) > at + 500) ?? spoke;
  const muted = seen.find(([at, id]) => id === 'muted' && at > spoke);
  return Math.min(last, muted ? muted[0] : Infinity) - spoke;
}"""


async def test_typing_stopping_and_saying_it_differently(open_browser: OpenBrowser) -> None:
    engines = room_engines(
        language_model=FakeLanguageModel(
            reply=lambda req: f"你說「{req.messages[-1].content}」。", token_s=0.02
        )
    )
    async with (
        serving(InMemoryRuntime(engines=engines, store=MemoryArchive())) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        await visitor.arrive()
        await visitor.write("你好")
        await expect(visitor.lines("assistant")).to_contain_text("你說「你好」。")
        await visitor.page.keyboard.press("Escape")
        await expect(visitor.lines("assistant")).to_have_attribute("data-status", "interrupted")
        await expect(visitor.talk).to_have_attribute("data-mood", "idle")
        await visitor.lines("user").get_by_label("修改後重新送出").click()
        await visitor.page.locator("li textarea").fill("早安")
        await visitor.page.get_by_role("button", name="重新送出", exact=True).click()
        await expect(visitor.lines("assistant")).to_contain_text("你說「早安」。")
        await expect(visitor.lines("user")).to_have_count(1)
        # What was taken back is not part of the conversation any more.
        model: Any = engines.language_model
        assert [m.content for m in model.requests[-1].messages if m.role == "user"] == ["早安"]
        visitor.at_ease()


async def test_push_to_talk_with_the_space_bar(open_browser: OpenBrowser) -> None:
    async with (
        serving(InMemoryRuntime(engines=room_engines())) as served,
        open_browser(1.0, 60.0) as browser,
        visiting(browser, served.url, prefer={"mode": "push-to-talk", "transport": "websocket"}) as visitor,
    ):
        await visitor.arrive()
        await visitor.page.keyboard.down("Space")
        await expect(visitor.talk).to_have_attribute("data-mood", "hearing")
        # Somebody goes on speaking, and is not answered before the key is let go of.
        await expect(visitor.lines("user")).to_contain_text(QUESTION[:6], timeout=15_000)
        await expect(visitor.lines("assistant")).to_have_count(0)
        await visitor.page.keyboard.up("Space")
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        await expect(visitor.lines("user")).to_have_count(1)
        visitor.at_ease()


async def test_where_webrtc_does_not_come_about_the_websocket_takes_over(open_browser: OpenBrowser) -> None:
    refuse = "RTCPeerConnection.prototype.setRemoteDescription = async () => { throw new Error('blocked') };"
    async with (
        serving(InMemoryRuntime(engines=room_engines())) as served,
        open_browser() as browser,
        visiting(browser, served.url, scripts=[refuse]) as visitor,
    ):
        await visitor.arrive()
        await visitor.write("你好")
        await expect(visitor.status).to_contain_text("WebSocket", timeout=15_000)
        await expect(visitor.lines("assistant")).to_contain_text(ANSWER)
        visitor.at_ease()


async def test_five_talk_at_once_and_each_gets_their_own_answer(open_browser: OpenBrowser) -> None:
    model = FakeLanguageModel(
        reply=lambda req: f"答{req.messages[-1].content}。", first_token_s=0.05, token_s=0.02
    )
    async with (
        serving(InMemoryRuntime(engines=room_engines(language_model=model))) as served,
        open_browser() as browser,
    ):

        async def talk(number: int) -> None:
            async with visiting(browser, served.url) as visitor:
                await visitor.arrive()
                for turn in range(3):
                    await visitor.write(f"問題{number}之{turn}")
                    answer = visitor.lines("assistant").nth(turn)
                    await expect(answer).to_contain_text(f"答問題{number}之{turn}。", timeout=30_000)
                    # Whoever asks again before an answer was heard asks both at once.
                    await expect(visitor.talk).to_have_attribute("data-mood", "idle", timeout=30_000)
                await expect(visitor.lines("assistant")).to_have_count(3)
                visitor.at_ease()

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(talk(number))
