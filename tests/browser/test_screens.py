"""Pictures of the main states; nothing serious may be found by axe in any of them.

Every run makes them; with KUAIMEI_SCREENSHOTS=1 those that the documentation shows go to docs/screenshots.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from kuaimei.audio.encode import encode
from kuaimei.store.rows import Rendering, Summary
from tests.browser.analysing import CLIP, Analysing, analysis, course
from tests.browser.chat_page import ANSWER, QUESTION, Visitor, axe_findings, room_engines, visiting
from tests.browser.cloning import Cloning, cloned_voice
from tests.browser.conftest import OpenBrowser
from tests.browser.person import Person
from tests.support.fakes import FakeLanguageModel, FakeRecognizer, FakeSynthesizer, said
from tests.support.server.app_server import KEY, InMemoryRuntime, MemoryArchive, make_settings, serving

_KEPT = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
_LIMIT = 150 * 1024

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
ENGLISH_ANSWER = (
    "Yes, showers in the afternoon. Around twenty-six degrees, so take an umbrella and a light jacket."
)


DOCUMENTED = {
    "start-desktop-zh",
    "start-desktop-en",
    "start-phone-zh",
    "start-phone-en-dark",
    "hearing-desktop-zh",
    "hearing-phone-zh",
    "speaking-desktop-zh-dark",
    "speaking-desktop-en",
    "speaking-phone-zh",
    "speaking-phone-en-dark",
    "timing-desktop-zh",
    "replay-desktop-en",
    "voices-desktop-zh-dark",
    "voices-phone-zh",
    "add-voice-desktop-zh",
    "add-voice-phone-en-dark",
    "cloned-desktop-en",
    "cloned-phone-zh",
    "listen-desktop-zh",
    "settings-desktop-en",
    "denied-phone-zh",
    "sessions-phone-zh",
    "analysis-desktop-zh",
    "analysis-desktop-zh-dark",
    "analysis-phone-en",
    "trends-desktop-zh",
    "trends-desktop-zh-dark",
    "trends-phone-en",
    "label-desktop-zh",
    "label-phone-en",
}


@asynccontextmanager
async def _at(
    open_browser: OpenBrowser, *speech: float, english: bool = False, key: str = "", **options: Any
) -> AsyncIterator[Visitor]:
    """Somebody at a page behind which a few conversations are kept."""
    archive = MemoryArchive()
    sound = encode(said(QUESTION), 16_000, "flac")
    for session, texts in (
        ("sess_trip", ("下個月想去花蓮，三天怎麼安排？", "第一天太魯閣，第二天七星潭，第三天慢慢開回來。")),
        ("sess_party", ("Ideas for a birthday party?", "A picnic by the river, with a treasure hunt.")),
        ("sess_rain", (QUESTION, ANSWER, "那要帶外套嗎？", "早晚偏涼，帶一件薄的就好。")),
    ):
        archive.put(session, *texts, sound=sound)
    *before, last = archive.said["sess_rain"]
    hq = Rendering("ready", "zf_one", "kokoro", 4000.0, 24_000, len(sound), "cd" * 32, (), None)
    archive.said["sess_rain"] = [*before, replace(last, hq=hq)]
    engines = room_engines(
        recognizer=FakeRecognizer(
            text="Will it rain in Taipei tomorrow?" if english else QUESTION, delay_s=0.1
        ),
        language_model=FakeLanguageModel(
            reply=ENGLISH_ANSWER if english else ANSWER, first_token_s=0.1, token_s=0.01
        ),
        synthesizer=FakeSynthesizer(
            delay_s=0.1,
            character_ms=100.0 if english else 250.0,
            voices=("zf_xiaobei", "zf_xiaoyi", "zm_yunxi", "af_heart", "am_michael"),
        ),
    )
    given = {"locale": "en-US" if english else "zh-TW", **options}
    async with (
        serving(InMemoryRuntime(settings=make_settings(key=key), engines=engines, store=archive)) as served,
        open_browser(*speech) as browser,
        visiting(browser, served.url, **given) as visitor,
    ):
        learned = {"step": "decoder", "state": "done", "similarity": 0.83}
        mum = cloned_voice(name="Mum" if english else "媽媽")
        dad = cloned_voice("voice_dad", name="Dad" if english else "爸爸", label="cloned", learning=learned)
        await Cloning(sound, {"voice_mum": mum, "voice_dad": dad}).install(visitor.context)
        yield visitor


async def _picture(visitor: Visitor, folder: Path, name: str) -> None:
    """Take it, once everything has come to rest."""
    await visitor.page.mouse.move(0, 0)
    assert await axe_findings(visitor.page) == [], name
    documented = name in DOCUMENTED and os.environ.get("KUAIMEI_SCREENSHOTS") == "1"
    file = (_KEPT if documented else folder) / f"{name}.png"
    await visitor.page.screenshot(path=file, animations="disabled")
    assert file.stat().st_size <= _LIMIT, f"{name} is too large a picture: {file.stat().st_size}"


LOOKS = [
    ("desktop-zh", DESKTOP, False, "light"),
    ("desktop-en", DESKTOP, True, "light"),
    ("desktop-zh-dark", DESKTOP, False, "dark"),
    ("phone-zh", PHONE, False, "light"),
    ("phone-en-dark", PHONE, True, "dark"),
]


@pytest.mark.parametrize(("name", "device", "english", "scheme"), LOOKS)
async def test_beginning_and_talking(
    open_browser: OpenBrowser,
    tmp_path: Path,
    name: str,
    device: dict[str, Any],
    english: bool,
    scheme: str,
) -> None:
    options = {**device, "color_scheme": scheme}
    async with _at(open_browser, 1.2, 1.8, 600.0, english=english, **options) as visitor:
        await visitor.arrive()
        await _picture(visitor, tmp_path, f"start-{name}")
        await visitor.talk.click()
        await expect(visitor.lines("user")).to_contain_text(QUESTION[:5])
        if not english:  # the fake captions speak Chinese only
            await _picture(visitor, tmp_path, f"hearing-{name}")
        await expect(visitor.page.locator("[data-spoken]")).to_be_visible(timeout=15_000)
        await expect(visitor.page.locator("[data-timing]")).to_be_visible(timeout=15_000)
        await _picture(visitor, tmp_path, f"speaking-{name}")
        visitor.at_ease()


@pytest.mark.parametrize(("name", "device", "english", "scheme"), LOOKS[:4])
async def test_around_the_conversation(
    open_browser: OpenBrowser,
    tmp_path: Path,
    name: str,
    device: dict[str, Any],
    english: bool,
    scheme: str,
) -> None:
    async with _at(open_browser, english=english, **{**device, "color_scheme": scheme}) as visitor:
        page = visitor.page
        await visitor.arrive("/#/s/sess_rain")
        await expect(visitor.lines("user")).to_have_count(2)
        await page.locator("[data-timing]").last.click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await _picture(visitor, tmp_path, f"timing-{name}")
        await page.keyboard.press("Escape")
        await visitor.lines("assistant").last.hover()
        await visitor.lines("assistant").last.get_by_label("Play again" if english else "重播").click()
        await expect(page.locator("[data-state=ready] canvas").first).to_be_attached()
        await _picture(visitor, tmp_path, f"replay-{name}")
        await page.get_by_label("Voices" if english else "聲音", exact=True).click()
        await expect(page.get_by_role("radio", name="Xiaobei")).to_be_visible()
        await _picture(visitor, tmp_path, f"voices-{name}")
        await page.locator("[data-voice=voice_mum] button[aria-expanded]").click()
        await expect(page.locator("[data-voice=voice_mum] [data-learning]")).to_be_visible()
        await _picture(visitor, tmp_path, f"cloned-{name}")
        await page.get_by_role("button", name="Add a voice" if english else "新增聲音").click()
        await expect(page.get_by_role("textbox").first).to_be_visible()
        await expect(page.get_by_role("blockquote")).to_contain_text(
            "the speaker has" if english else "說話的人"
        )
        await _picture(visitor, tmp_path, f"add-voice-{name}")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await page.get_by_label("Settings" if english else "設定", exact=True).click()
        await expect(page.get_by_role("dialog")).to_contain_text("0.1.0")
        await _picture(visitor, tmp_path, f"settings-{name}")
        visitor.at_ease()


@pytest.mark.parametrize(("name", "device", "english", "scheme"), LOOKS)
async def test_signing_in_and_what_is_kept(
    open_browser: OpenBrowser,
    tmp_path: Path,
    name: str,
    device: dict[str, Any],
    english: bool,
    scheme: str,
) -> None:
    who = {"name": "Amy" if english else "小美", "role": "member", "via": "key"}
    keeping = {"keep": True, "retention_days": 30.0, "voice_retention_days": 0.0}
    person = Person(
        accepted=False,
        me={**who, "keeping": keeping},
        environment={"state": "making", "progress": 0.35, "detail": "", "eta_s": 300},
    )
    options = {**device, "color_scheme": scheme, "person": person, "expected": ["401"]}
    async with _at(open_browser, english=english, key=KEY, **options) as visitor:
        page = visitor.page
        await page.goto(visitor.origin)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await _picture(visitor, tmp_path, f"sign-in-{name}")
        await page.locator("input[type=password]").fill("some-other-key")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_be_visible()
        await _picture(visitor, tmp_path, f"wrong-key-{name}")
        await page.locator("input[type=password]").fill(KEY)
        await page.keyboard.press("Enter")
        await visitor.talk.click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await _picture(visitor, tmp_path, f"notice-{name}")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await page.get_by_label("Voices" if english else "聲音", exact=True).click()
        await expect(page.locator("[data-environment]")).to_be_visible()
        await page.locator("[data-voice=voice_mum] button[aria-expanded]").click()
        await expect(page.get_by_role("switch")).to_be_visible()
        await page.get_by_role("switch").scroll_into_view_if_needed()
        await _picture(visitor, tmp_path, f"sharing-{name}")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await page.get_by_label("Settings" if english else "設定", exact=True).click()
        await expect(page.locator("[data-account]")).to_be_visible()
        await _picture(visitor, tmp_path, f"account-{name}")
        await page.get_by_role("button", name="Delete all my data" if english else "刪除我的全部資料").click()
        await expect(page.locator("[data-forget]")).to_be_visible()
        await _picture(visitor, tmp_path, f"forget-{name}")
        visitor.at_ease()


async def test_the_list_on_a_phone_and_a_microphone_that_is_blocked(
    open_browser: OpenBrowser, tmp_path: Path
) -> None:
    fails = (
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'));"
    )
    async with _at(open_browser, **{**PHONE, "scripts": [fails]}) as visitor:
        await visitor.arrive()
        await visitor.talk.click()
        await expect(visitor.notice("denied")).to_be_visible()
        await _picture(visitor, tmp_path, "denied-phone-zh")
        await visitor.page.get_by_label("對話紀錄").first.click()
        await expect(visitor.page.get_by_text("Ideas for a birthday party?")).to_be_visible()
        await _picture(visitor, tmp_path, "sessions-phone-zh")
        visitor.at_ease()


_TALL: dict[str, Any] = {"viewport": {"width": 1280, "height": 1000}}
SPOKEN_LOOKS = [
    ("desktop-zh", _TALL, False, "light"),
    ("desktop-zh-dark", _TALL, False, "dark"),
    ("phone-en", PHONE, True, "light"),
]


@pytest.mark.parametrize(("name", "device", "english", "scheme"), SPOKEN_LOOKS)
async def test_how_it_was_spoken(
    open_browser: OpenBrowser,
    tmp_path: Path,
    name: str,
    device: dict[str, Any],
    english: bool,
    scheme: str,
) -> None:
    question = "Will it rain in Taipei tomorrow?" if english else QUESTION
    archive = MemoryArchive()
    archive.put("sess_rain", question, ENGLISH_ANSWER if english else ANSWER, sound=CLIP)
    first, second = archive.said["sess_rain"]
    archive.said["sess_rain"] = [
        replace(first, analysis=Summary("scored", None, 0.62, 0.74, 0.55)),
        replace(second, analysis=Summary("scored", None, 0.57, 0.81, 0.48)),
    ]
    usual = {"confidence": 0.5, "stability": 0.72, "affability": 0.61}
    fake = Analysing(
        analyses={first.id: analysis(first.id)},
        courses={"sess_rain": course(12, usual, question)},
        to_rate={"utt_rate_1": question, "utt_rate_2": question},
    )
    given = {"locale": "en-US" if english else "zh-TW", "color_scheme": scheme, **device}
    async with (
        serving(InMemoryRuntime(engines=room_engines(), store=archive)) as served,
        open_browser() as browser,
        visiting(browser, served.url, **given) as visitor,
    ):
        page = visitor.page
        await fake.install(visitor.context)
        await visitor.arrive("/#/s/sess_rain")
        await page.locator("[data-analysis]").first.click()
        await expect(page.locator("[data-clip=ready] [data-pitch]")).to_be_visible()
        await _picture(visitor, tmp_path, f"analysis-{name}")
        await page.get_by_role("button", name="How the manner changes" if english else "語氣的變化").click()
        await expect(page.locator("[data-trends=ready] polyline").first).to_be_visible()
        await _picture(visitor, tmp_path, f"trends-{name}")
        await page.goto(f"{served.url}/label")
        await page.get_by_role("textbox").fill("Ann" if english else "小美")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-round=open]")).to_be_visible()
        await page.keyboard.press("4")
        await page.get_by_role("button", name="Stop" if english else "停止").click()
        await _picture(visitor, tmp_path, f"label-{name}")
        visitor.at_ease()
