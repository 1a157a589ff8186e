"""Somebody's voice at the page: given with consent, looked at, corrected, learned, used, deleted again."""

import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, FilePayload, Page, expect

from kuaimei.audio.encode import encode
from tests.browser.chat_page import Visitor, axe_findings, room_engines, visiting
from tests.browser.cloning import REFUSING, Cloning, cloned_voice
from tests.browser.conftest import OpenBrowser
from tests.browser.person import Person
from tests.support.fakes import FakeSynthesizer, said
from tests.support.server.app_server import InMemoryRuntime, MemoryArchive, eventually, serving

_FILE: FilePayload = {"name": "mum.mp3", "mimeType": "audio/mpeg", "buffer": b"ID3" + bytes(2000)}
_DROP = """() => {
  const given = new DataTransfer();
  given.items.add(new File([new Uint8Array(500)], '阿公.wav', {type: 'audio/wav'}));
  document.querySelector('[data-drop]').dispatchEvent(
    new DragEvent('drop', {dataTransfer: given, bubbles: true, cancelable: true}));
}"""
_CLONED = ("voice_mum", "voice_new")


class _EveryVoiceAtHand(FakeSynthesizer):
    """Speaks in the cloned voices, too, of which no library knows here: as if it had come with them."""

    @property
    def stock(self) -> dict[str, Any]:
        return dict.fromkeys(self.voices)

    def put_voice(self, voice_id: str, style: Any) -> None:
        raise NotImplementedError

    def drop_voice(self, voice_id: str) -> None:
        raise NotImplementedError

    def tokens(self, text: str) -> tuple[int, ...]:
        raise NotImplementedError


def _runtime() -> InMemoryRuntime:
    synthesizer = _EveryVoiceAtHand(delay_s=0.05, voices=("zf_one", "zm_two", *_CLONED))
    return InMemoryRuntime(engines=room_engines(synthesizer=synthesizer), store=MemoryArchive())


def _cloning(*voices: dict[str, Any]) -> Cloning:
    return Cloning(encode(said("這是我的聲音"), 16_000, "flac"), {voice["id"]: voice for voice in voices})


@asynccontextmanager
async def _at_the_voices(
    browser: Browser, cloning: Cloning, runtime: InMemoryRuntime | None = None, **options: Any
) -> AsyncIterator[tuple[Visitor, Page]]:
    """Somebody who has opened the list of voices."""
    async with serving(runtime or _runtime()) as served, visiting(browser, served.url, **options) as visitor:
        await cloning.install(visitor.context)
        await visitor.arrive()
        await visitor.page.get_by_label("聲音", exact=True).click()
        await expect(visitor.page.get_by_role("heading", name="複製的聲音")).to_be_visible()
        yield visitor, visitor.page


async def _fill(page: Page, name: str = "媽媽") -> None:
    await page.get_by_role("textbox", name="名稱").fill(name)
    await page.get_by_role("textbox", name="這是誰的聲音").fill("王美美")
    await page.get_by_role("checkbox", name="我確認說話的人已經同意").check()


async def test_a_recording_with_consent_becomes_a_voice_that_answers(open_browser: OpenBrowser) -> None:
    cloning, runtime = _cloning(), _runtime()
    async with open_browser() as browser, _at_the_voices(browser, cloning, runtime) as (visitor, page):
        await expect(page.get_by_text("給快美一小段錄音")).to_be_visible()
        await page.get_by_role("button", name="新增聲音").click()
        send = page.get_by_role("button", name="開始學習")
        await page.locator("[data-drop] input[type=file]").set_input_files(_FILE)
        await expect(page.locator("[data-drop]")).to_contain_text("mum.mp3")
        await page.get_by_role("textbox", name="名稱").fill("媽媽")
        await page.get_by_role("textbox", name="這是誰的聲音").fill("王美美")
        await expect(send).to_be_disabled()  # not without consent
        await expect(page.get_by_label("同意的內容")).to_contain_text("說話的人已經同意")
        assert await axe_findings(page) == []
        await page.get_by_role("checkbox", name="我確認說話的人已經同意").check()
        await send.click()

        voice = page.locator("[data-voice=voice_new]")
        await expect(voice).to_have_attribute("data-state", "preparing")
        await expect(voice).to_contain_text("正在聽錄音")
        await expect(voice.get_by_role("radio")).to_be_disabled()
        assert cloning.uploads[0]["file"] == _FILE["buffer"]
        assert cloning.uploads[0]["name"].decode() == "媽媽"
        assert cloning.uploads[0]["consent_speaker"].decode() == "王美美"
        assert "說話的人已經同意" in cloning.uploads[0]["consent_statement"].decode()

        cloning.voices["voice_new"] |= {"state": "ready", "stage": "", "transcript": "你好，我是媽媽。"}
        await expect(voice).to_have_attribute("data-state", "ready", timeout=15_000)
        await expect(voice).to_contain_text("相似音色")
        await expect(voice.get_by_label("錄音裡說的話")).to_have_value("你好，我是媽媽。")
        await voice.get_by_role("radio").check()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await visitor.write("你好")
        await expect(visitor.lines("assistant")).to_have_attribute("data-status", "done", timeout=20_000)
        assert runtime.engines.synthesizer.requests[-1].voice_id == "voice_new"  # type: ignore[attr-defined]
        visitor.at_ease()


async def test_a_recording_that_is_no_good_is_told_why_and_what_to_do(open_browser: OpenBrowser) -> None:
    cloning = _cloning()
    cloning.refusal = REFUSING
    async with (
        open_browser() as browser,
        _at_the_voices(browser, cloning, expected=["422"]) as (visitor, page),
    ):
        await page.get_by_role("button", name="新增聲音").click()
        await page.locator("[data-drop] input[type=file]").set_input_files(_FILE)
        await _fill(page)
        await page.get_by_role("button", name="開始學習").click()
        told = page.get_by_role("alert")
        await expect(told).to_contain_text("這段錄音還不能用")
        await expect(told.locator("[data-check=speech]")).to_have_attribute("data-verdict", "refused")
        await expect(told.locator("[data-check=speech]")).to_contain_text("至少要 3 秒")
        assert await axe_findings(page) == []
        # What was filled in is still there for another recording, this time a dropped one.
        cloning.refusal = None
        await page.evaluate(_DROP)
        await expect(page.locator("[data-drop]")).to_contain_text("阿公.wav")
        await expect(told).to_have_count(0)
        await page.get_by_role("button", name="開始學習").click()
        await expect(page.locator("[data-voice=voice_new]")).to_be_visible()
        visitor.at_ease()


async def test_a_recording_made_at_the_page(open_browser: OpenBrowser) -> None:
    cloning = _cloning()
    async with (
        open_browser(0.5, 60.0) as browser,
        _at_the_voices(browser, cloning, permissions=["microphone"]) as (visitor, page),
    ):
        await page.get_by_role("button", name="新增聲音").click()
        await page.get_by_text("現在錄音", exact=True).click()
        await expect(page.get_by_text("我正在錄一段自己的聲音")).to_be_visible()
        await page.get_by_role("button", name="開始錄音").click()
        await expect(page.get_by_text("錄音中 0:02")).to_be_visible(timeout=15_000)
        await page.get_by_role("button", name="錄好了").click()
        await expect(page.get_by_label("聽聽看")).to_be_visible()
        assert await axe_findings(page) == []
        await _fill(page)
        await page.get_by_role("button", name="開始學習").click()
        await expect(page.locator("[data-voice=voice_new]")).to_be_visible()
        with wave.open(io.BytesIO(cloning.uploads[0]["file"])) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
            assert file.getnframes() >= 2 * 24_000
        visitor.at_ease()


async def test_learning_is_followed_stopped_and_gone_on_with(open_browser: OpenBrowser) -> None:
    why = "The learning environment is not installed: run make setup."
    unable = {"step": "predicted", "state": "unavailable", "similarity": None, "error": why}
    cloning = _cloning(cloned_voice(), cloned_voice("voice_old", name="阿公", learning=unable))
    async with open_browser() as browser, _at_the_voices(browser, cloning) as (visitor, page):
        voice = page.locator("[data-voice=voice_mum]")
        await voice.get_by_role("button", name="「媽媽」的詳細資料").click()
        learning = voice.locator("[data-learning]")
        await expect(learning).to_contain_text("第 1 步")
        await expect(learning).to_contain_text("40%")
        await expect(learning).to_contain_text("0.61")
        await expect(learning).to_contain_text("大約還要 2 分鐘")
        await expect(voice.locator("[data-check=noise]")).to_have_attribute("data-verdict", "warning")
        assert await axe_findings(page) == []
        cloning.voices["voice_mum"]["learning"] |= {"state": "paused", "progress": 0.5}
        await expect(learning).to_contain_text("先讓一讓", timeout=15_000)
        await learning.get_by_role("button", name="停止學習").click()
        await expect(learning).to_have_attribute("data-learning", "cancelled", timeout=15_000)
        await learning.get_by_role("button", name="繼續學習").click()
        await expect(learning).to_have_attribute("data-learning", "waiting", timeout=15_000)
        assert cloning.asked.index("POST voice_mum/learn/cancel") < cloning.asked.index(
            "POST voice_mum/learn"
        )
        cloning.voices["voice_mum"] |= {"label": "cloned"}
        cloning.voices["voice_mum"]["learning"] |= {"step": "decoder", "state": "done", "similarity": 0.82}
        await expect(voice.locator("[data-label]")).to_have_text("複製音色", timeout=15_000)
        await expect(learning).to_contain_text("0.82")
        await expect(learning.get_by_role("button")).to_have_count(0)
        # A server that has not got what it takes says so, and offers nothing.
        other = page.locator("[data-voice=voice_old]")
        await other.get_by_role("button", name="「阿公」的詳細資料").click()
        await expect(other.locator("[data-learning=unavailable]")).to_contain_text(why)
        await expect(other.locator("[data-learning] button")).to_have_count(0)
        assert "GET voice_old" not in cloning.asked  # nothing moves there
        visitor.at_ease()


async def test_heard_corrected_renamed_and_deleted(open_browser: OpenBrowser) -> None:
    cloning = _cloning(cloned_voice(learning={"step": "decoder", "state": "done"}))
    async with open_browser() as browser, _at_the_voices(browser, cloning) as (visitor, page):
        voice = page.locator("[data-voice=voice_mum]")
        await voice.get_by_role("button", name="「媽媽」的詳細資料").click()
        await voice.get_by_role("button", name="聽原來的錄音").click()
        await expect(voice.get_by_role("button", name="停止播放")).to_be_visible()
        await voice.get_by_role("button", name="試聽 媽媽").click()
        await expect(voice.get_by_role("button", name="停止試聽")).to_be_visible()
        assert {"GET voice_mum/reference", "GET voice_mum/sample"} <= set(cloning.asked)

        await voice.get_by_label("錄音裡說的話").fill("今天天氣真好。")
        await voice.get_by_role("button", name="儲存").click()
        await eventually(lambda: cloning.voices["voice_mum"]["transcript"] == "今天天氣真好。")
        await voice.get_by_role("button", name="重新命名").click()
        await page.get_by_role("dialog", name="重新命名").get_by_label("名稱").fill("阿母")
        await page.get_by_role("dialog", name="重新命名").get_by_role("button", name="儲存").click()
        await expect(voice.get_by_role("radio", name="阿母")).to_be_visible()

        await voice.get_by_role("radio").check()
        await voice.get_by_role("button", name="刪除").click()
        asking = page.get_by_role("dialog", name="刪除這個聲音？")
        await expect(asking).to_contain_text("無法復原")
        await asking.get_by_role("button", name="刪除").click()
        await expect(voice).to_have_count(0)
        # Somebody has to answer all the same.
        await expect(page.get_by_role("radio", name="One")).to_be_checked()
        assert cloning.voices == {}
        visitor.at_ease()


async def test_all_of_it_can_be_done_without_a_mouse(open_browser: OpenBrowser, tmp_path: Path) -> None:
    file = tmp_path / "mum.mp3"
    file.write_bytes(_FILE["buffer"])
    cloning = _cloning()
    async with (
        open_browser() as browser,
        serving(_runtime()) as served,
        visiting(browser, served.url, locale="en-US") as visitor,
    ):
        await cloning.install(visitor.context)
        await visitor.arrive()
        page = visitor.page
        await page.get_by_label("Voices", exact=True).focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Add a voice").press("Enter")
        async with page.expect_file_chooser() as asking:
            # Focused and pressed in one: a drawer that has come to rest takes the focus once more.
            await page.get_by_role("button", name="Choose a file").press("Enter")
        await (await asking.value).set_files(file)
        await expect(page.locator("[data-drop]")).to_contain_text("mum.mp3")
        await page.get_by_role("textbox", name="Name").press_sequentially("Mum")
        await page.keyboard.press("Tab")
        await page.keyboard.type("Amy")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-voice=voice_new]")).to_be_visible()
        assert cloning.uploads[0]["consent_speaker"] == b"Amy"
        assert b"has agreed" in cloning.uploads[0]["consent_statement"]
        visitor.at_ease()


async def test_a_voice_is_shared_by_its_owner_and_nobody_else_can_change_it(
    open_browser: OpenBrowser,
) -> None:
    done = {"step": "decoder", "state": "done"}
    mine = cloned_voice(learning=done, mine=True, shared=False)
    theirs = cloned_voice("voice_new", name="阿公", learning=done, mine=False, shared=True)
    cloning = _cloning(mine, theirs)
    async with open_browser() as browser, _at_the_voices(browser, cloning) as (visitor, page):
        voice = page.locator("[data-voice=voice_mum]")
        await voice.get_by_role("button", name="「媽媽」的詳細資料").click()
        share = voice.get_by_role("switch", name="和所有人分享")
        await expect(share).not_to_be_checked()
        await share.press("Space")
        await expect(share).to_be_checked()
        assert cloning.voices["voice_mum"]["shared"] is True

        other = page.locator("[data-voice=voice_new]")
        await expect(other).to_contain_text("由其他人分享")
        await expect(other).not_to_contain_text("王美美")  # whose it is, is nobody's business
        await expect(other.get_by_role("button")).to_have_count(1)  # to be heard, and that is all
        await other.get_by_role("button", name="試聽 阿公").click()
        await expect(other.get_by_role("button", name="停止試聽")).to_be_visible()
        await other.get_by_role("radio").check()
        assert await axe_findings(page) == []
        visitor.at_ease()


async def test_a_voice_waits_for_what_it_is_learned_in(open_browser: OpenBrowser) -> None:
    waiting = {"step": "style", "state": "waiting", "similarity": None, "eta_s": None}
    cloning = _cloning(cloned_voice(learning=waiting))
    making = {"state": "making", "progress": 0.35, "detail": "torch 2.13", "eta_s": 300}
    person = Person(environment=making)
    async with (
        open_browser() as browser,
        _at_the_voices(browser, cloning, person=person) as (visitor, page),
    ):
        environment = page.locator("[data-environment=making]")
        for told in ("35%", "大約還要 5 分鐘", "torch 2.13"):
            await expect(environment).to_contain_text(told)
        voice = page.locator("[data-voice=voice_mum]")
        await voice.get_by_role("button", name="「媽媽」的詳細資料").click()
        await expect(voice.locator("[data-learning]")).to_contain_text("等學習環境準備好就開始")
        assert await axe_findings(page) == []
        person.environment |= {"progress": None, "eta_s": None}
        await expect(environment).not_to_contain_text("35%", timeout=15_000)
        person.environment["state"] = "ready"
        await expect(page.locator("[data-environment]")).to_have_count(0, timeout=15_000)
        await expect(voice.locator("[data-learning]")).to_contain_text("排隊等候")
        visitor.at_ease()


async def test_replies_in_a_deleted_voice_no_longer_offer_their_sound(open_browser: OpenBrowser) -> None:
    cloning = _cloning(cloned_voice(learning={"step": "decoder", "state": "done"}))
    cloning.slow_to_delete = True
    runtime, archive = _runtime(), MemoryArchive()
    runtime.store = archive
    archive.put("sess_a", "你好", "嗨。", "再說一次", "嗨嗨。", sound=encode(said("嗨"), 16_000, "flac"))
    first, reply, second, other = archive.said["sess_a"]
    archive.said["sess_a"] = [
        first,
        replace(reply, voice="voice_mum"),
        second,
        replace(other, voice="zf_one"),
    ]
    async with (
        serving(runtime) as served,
        open_browser() as browser,
        visiting(browser, served.url, expected=["404"]) as visitor,
    ):
        page = visitor.page
        await cloning.install(visitor.context)
        await visitor.arrive("/#/s/sess_a")
        lines = visitor.lines("assistant")
        await expect(lines).to_have_count(2)
        await lines.first.hover()
        await expect(lines.first.get_by_label("重播")).to_be_visible()
        await page.get_by_label("聲音", exact=True).click()
        await page.locator("[data-voice=voice_mum] button[aria-expanded]").click()
        await page.locator("[data-voice=voice_mum]").get_by_role("button", name="刪除").click()
        await page.get_by_role("dialog", name="刪除這個聲音？").get_by_role("button", name="刪除").click()
        await expect(page.locator("[data-voice=voice_mum]")).to_have_count(0)
        await page.keyboard.press("Escape")
        await expect(lines.first).to_contain_text("聲音已經刪除")
        await expect(lines.first.get_by_label("重播")).to_have_count(0)
        await expect(lines.last.get_by_label("重播")).to_have_count(1)

        # Deleted at another page: nobody tells this one, until it asks for the sound.
        del archive.said["sess_a"][-1]
        await lines.last.hover()
        await lines.last.get_by_label("重播").click()
        await expect(lines.last).to_contain_text("聲音已經刪除")
        await expect(lines.last.get_by_label("重播")).to_have_count(0)
        visitor.at_ease()
