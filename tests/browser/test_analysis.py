"""How something was spoken, at the page: scores, why, the drawing, a whole conversation, people who rate."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from playwright.async_api import Locator, Page, expect

from kuaimei.analysis.job import AnalysisCounts, Scored
from kuaimei.analysis.service import AnalysisService
from kuaimei.store.broadcast import Broadcast
from kuaimei.store.rows import Summary
from tests.browser.analysing import CLIP, CONTOURS, FEATURES, Analysing, analysis, bare, course, scores
from tests.browser.chat_page import QUESTION, Visitor, axe_findings, room_engines, visiting
from tests.browser.conftest import OpenBrowser
from tests.support.server.app_server import InMemoryRuntime, MemoryArchive, serving

_SAID = ("utt_sess_rain_0", "utt_sess_rain_1", "utt_sess_rain_2")


def _runtime() -> InMemoryRuntime:
    archive = MemoryArchive()
    archive.put("sess_rain", QUESTION, "會，下午有陣雨。", "嗯", sound=CLIP)
    first, second, third = archive.said["sess_rain"]
    archive.said["sess_rain"] = [
        replace(first, analysis=Summary("scored", None, 0.62, 0.74, 0.55)),
        second,
        replace(third, analysis=Summary("unscored", "too_short", None, None, None)),
    ]
    return InMemoryRuntime(engines=room_engines(), store=archive)


async def _open(visitor: Visitor, line: Locator) -> Locator:
    await line.hover()
    await line.locator("button[aria-expanded=false]").last.click()
    return line.locator("[data-panel]")


async def test_scores_with_what_they_consist_of(open_browser: OpenBrowser) -> None:
    fake = Analysing(analyses={_SAID[0]: analysis(_SAID[0])})
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        page = visitor.page
        await fake.install(visitor.context)
        await visitor.arrive("/#/s/sess_rain")
        first = visitor.lines("user").first
        mark = first.get_by_role("button", name="怎麼說的：自信 62，穩定 74，親和 55")
        await mark.click()
        await expect(mark).to_have_attribute("aria-expanded", "true")
        panel = first.locator("[data-panel=scored]")
        for name, value in (("自信", 62), ("穩定", 74), ("親和", 55)):
            meter = panel.get_by_role("meter", name=name)
            await expect(meter).to_have_attribute("aria-valuenow", str(value))
            difference = value - 58
            told = f"比平常{'高' if difference > 0 else '低'} {abs(difference)}"
            await expect(meter).to_have_attribute("aria-valuetext", f"{value}, {told}")
        await expect(panel.locator("[data-usual]")).to_have_count(3)
        # The largest first, in words, and what it did to the score.
        why = panel.get_by_role("list", name="為什麼: 自信").get_by_role("listitem")
        await expect(why).to_have_text(
            [
                "語速偏快 5.4 字/秒 拉高",
                "停頓偏多 23% 拉低",
                "句尾偏向下降 −3.1 半音 拉高",
                "音量範圍偏大 14.2 dB 拉高",
            ]
        )
        # All of it adds up to the score.
        await panel.get_by_text("所有量測值").click()
        rows = panel.locator("tbody tr")
        assert await rows.count() == len(FEATURES) + 2  # what could not be told, and the start
        await expect(panel.locator("tr[data-feature=shimmer]")).to_contain_text("量不出來")
        column = await rows.evaluate_all("all => all.map((row) => row.cells[2].innerText)")
        total = sum(float(cell.replace("−", "-")) for cell in column if cell)
        assert 1 / (1 + math.exp(-total)) == pytest.approx(0.62, abs=0.01)
        assert await axe_findings(page) == []
        await page.get_by_role("button", name="怎麼說的：自信").click()
        await expect(panel).to_have_count(0)
        visitor.at_ease()


async def test_pauses_and_pitch_are_seen_where_they_are_heard(open_browser: OpenBrowser) -> None:
    fake = Analysing(analyses={_SAID[0]: analysis(_SAID[0])})
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url, locale="en-US") as visitor,
    ):
        await fake.install(visitor.context)
        await visitor.arrive("/#/s/sess_rain")
        panel = await _open(visitor, visitor.lines("user").first)
        drawing = panel.locator("[data-clip=ready]")
        await expect(drawing.locator("[data-pause]")).to_have_count(len(CONTOURS["pauses"]))
        await expect(drawing).to_contain_text("0.6 s")
        ticks = await drawing.locator("[data-tick]").evaluate_all("all => all.map((one) => one.dataset.tick)")
        assert 2 <= len(ticks) <= 3
        voiced = [hz for hz in CONTOURS["f0_hz"] if hz]
        assert all(min(voiced) < float(tick) < max(voiced) for tick in ticks)
        # Three stretches of speech, and nothing between them.
        path = await drawing.locator("[data-pitch]").get_attribute("d")
        assert path is not None
        assert path.count("M") == 3
        place = drawing.get_by_role("slider", name="Position")
        await place.focus()
        await place.press("ArrowRight")
        await place.press("ArrowRight")
        await expect(place).to_have_attribute("aria-valuenow", "1")
        await place.press("End")
        await expect(place).to_have_attribute("aria-valuenow", "4.6")
        await place.press("Home")
        await drawing.get_by_role("button", name="Play").click()
        await expect(drawing.get_by_role("button", name="Pause")).to_be_visible()
        await place.press("Space")  # and nobody's microphone is opened
        await expect(drawing.get_by_role("button", name="Play")).to_be_visible()
        await expect(visitor.talk).to_have_attribute("aria-pressed", "false")
        box = await place.bounding_box()
        assert box is not None
        await place.click(position={"x": box["width"] / 2, "y": 20})
        at = await place.get_attribute("aria-valuenow")
        assert float(at or 0) == pytest.approx(2.3, abs=0.15)
        visitor.at_ease()


async def test_what_has_no_scores_says_why_and_what_comes_late_comes(
    open_browser: OpenBrowser,
) -> None:
    fake = Analysing(analyses={_SAID[2]: bare(_SAID[2], "unscored", "too_short")})
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        await fake.install(visitor.context)
        await visitor.arrive("/#/s/sess_rain")
        short = await _open(visitor, visitor.lines("user").last)
        await expect(short).to_contain_text("這句太短了")
        await expect(short.get_by_role("meter")).to_have_count(0)
        late = await _open(visitor, visitor.lines("assistant"))
        await expect(late.get_by_role("status")).to_contain_text("正在分析")
        await expect(late).to_have_attribute("data-panel", "waiting")
        assert await axe_findings(visitor.page) == []
        fake.analyses[_SAID[1]] = analysis(_SAID[1], scores=scores(usual=None))
        await expect(late).to_have_attribute("data-panel", "scored")
        await expect(late).to_contain_text("說滿 5 句後和平常比")
        await expect(late.locator("[data-usual]")).to_have_count(0)
        visitor.at_ease()


async def test_what_becomes_known_is_seen_at_once(open_browser: OpenBrowser) -> None:
    fake = Analysing()
    news: Broadcast[Scored] = Broadcast()
    room = cast(AnalysisService, SimpleNamespace(announcements=news, counts=AnalysisCounts()))
    async with (
        serving(_runtime(), analysis=room) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        await fake.install(visitor.context)
        await visitor.arrive("/#/s/sess_rain")
        await expect(visitor.lines("assistant")).to_have_count(1)
        await visitor.write("那明天呢？")
        reply = visitor.lines("assistant").first
        await expect(visitor.lines("assistant")).to_have_count(2)  # connected, with the same session
        panel = await _open(visitor, reply)
        await expect(panel).to_have_attribute("data-panel", "waiting")
        await expect(reply.locator("[data-analysis]")).to_have_count(0)
        fake.analyses[_SAID[1]] = analysis(_SAID[1])
        known = Summary("scored", None, 0.31, 0.42, 0.53)
        news.publish(Scored("sess_rain", 1, _SAID[1], "assistant", True, known))
        name = "怎麼說的：自信 31，穩定 42，親和 53"
        await expect(reply.get_by_role("button", name=name)).to_be_visible()
        await expect(panel).to_have_attribute("data-panel", "scored")
        # Made anew, with other weights, while one looks.
        fake.analyses[_SAID[1]] = analysis(_SAID[1], scores=scores(0.9, usual=0.58))
        news.publish(Scored("sess_rain", 1, _SAID[1], "assistant", True, known))
        meter = panel.get_by_role("meter", name="自信")
        await expect(meter).to_have_attribute("aria-valuenow", "90")
        visitor.at_ease()


async def test_a_whole_conversation(open_browser: OpenBrowser, tmp_path: Path) -> None:
    fake = Analysing()
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url) as visitor,
    ):
        page = visitor.page
        await fake.install(visitor.context)
        await visitor.arrive()
        trends = page.get_by_role("dialog").locator("[data-trends=ready]")

        async def look(usual: dict[str, float] | None) -> None:
            fake.courses["sess_rain"] = course(6, usual)
            await page.get_by_role("button", name=f"「{QUESTION}」的選項").click()
            await page.get_by_role("menuitem", name="語氣的變化").click()
            await expect(trends.locator("[data-line] polyline")).to_have_count(3)

        await look(None)
        await expect(trends).to_contain_text("要說滿 5 句才知道")
        await expect(trends.locator("line[data-usual]")).to_have_count(0)
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await look({"confidence": 0.4, "stability": 0.71, "affability": 0.6})
        await expect(trends.locator("line[data-usual]")).to_have_count(3)
        await expect(trends.locator("[data-average=stability]")).to_contain_text("和平常差不多")
        await expect(trends.locator("[data-average=affability]")).to_contain_text("比平常低 15")
        await expect(trends.get_by_role("status")).to_contain_text("還有 1 句正在分析")
        # One after the other, with its words.
        chosen = trends.get_by_role("slider", name="選一句")
        await expect(chosen).to_have_attribute("aria-valuenow", "6")
        await chosen.press("Home")
        await chosen.press("ArrowRight")
        await expect(trends.locator("[data-told]")).to_contain_text("第 2 句，共 6 句 第 2 句")
        told = "第 2 句，共 6 句: 第 2 句 自信 67, 穩定 73, 親和 42"
        await expect(chosen).to_have_attribute("aria-valuetext", told)
        await chosen.hover(position={"x": 31, "y": 40})
        await expect(chosen).to_have_attribute("aria-valuenow", "1")
        await trends.get_by_text("用表格看").click()
        await expect(trends.get_by_role("row")).to_have_count(1 + 6 + 2)
        await expect(trends.get_by_role("row").nth(7)).to_contain_text("這句太短了")
        assert await axe_findings(page) == []
        async with page.expect_download() as taking:
            await trends.get_by_role("button", name="下載資料（CSV）").click()
        taken = tmp_path / "taken.csv"
        await (await taking.value).save_as(taken)
        assert taken.read_text().startswith("utterance,confidence")
        visitor.at_ease()


async def test_who_speaks_is_told_only_where_that_is_wished(open_browser: OpenBrowser) -> None:
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url, prefer={"transport": "websocket"}) as visitor,
    ):
        page = visitor.page
        asked: list[str] = []
        page.on("websocket", lambda socket: asked.append(socket.url))
        await visitor.arrive()

        async def talk() -> str:
            await visitor.write("你好")
            await expect(visitor.lines("assistant")).to_have_attribute("data-status", "done")
            return asked[-1].partition("person=")[2].partition("&")[0]

        person = await talk()
        assert len(person) == 32
        await page.reload()
        await page.get_by_role("button", name="新對話").click()
        assert await talk() == person
        await page.get_by_label("設定", exact=True).click()
        group = page.get_by_role("radiogroup", name="和我先前的說話比較")
        await group.get_by_text("關").click()
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="新對話").click()
        assert await talk() == ""
        visitor.at_ease()


async def _marks(page: Page) -> list[str | None]:
    checked = page.locator("input[type=radio]:checked")
    return [await checked.nth(n).get_attribute("value") for n in range(await checked.count())]


async def test_a_round_of_rating_by_keys(open_browser: OpenBrowser, tmp_path: Path) -> None:
    fake = Analysing(to_rate={"utt_rate_1": "明天會下雨嗎？", "utt_rate_2": "帶傘嗎？", "utt_rate_3": "好"})
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url, expected=["404"]) as visitor,
    ):
        page = visitor.page
        await fake.install(visitor.context)
        await page.goto(f"{served.url}/label")
        await page.get_by_label("你的名字").fill("小美")
        await page.keyboard.press("Enter")
        clip = page.locator("[data-round=open]")
        await expect(clip).to_contain_text("明天會下雨嗎？")
        await expect(page.get_by_text("已評 0 段，共 3 段").last).to_be_visible()
        await expect(page.locator("[data-scale=confidence]")).to_have_attribute("data-current", "true")
        save = page.get_by_role("button", name="儲存，下一段")
        await expect(save).to_be_disabled()
        for key in "42":
            await page.keyboard.press(key)
        await page.keyboard.press("Backspace")  # back to the second
        await page.keyboard.press("3")
        await page.keyboard.press("5")
        assert await _marks(page) == ["4", "3", "5"]
        assert await axe_findings(page) == []
        await page.keyboard.press("Enter")
        await expect(clip).to_contain_text("帶傘嗎？")
        assert fake.rated == {
            "utt_rate_1": {"confidence": 4, "stability": 3, "affability": 5, "rater": "小美"}
        }
        assert await _marks(page) == []
        await page.keyboard.press("s")
        await expect(clip).to_contain_text("好")
        for key in "111":
            await page.keyboard.press(key)
        await page.keyboard.press("Enter")
        # All but the one that was passed over.
        await expect(page.get_by_text("都評完了")).to_be_visible()
        await page.get_by_role("button", name="重新評被跳過的").click()
        await expect(clip).to_contain_text("帶傘嗎？")
        await expect(page.get_by_text("已評 2 段，共 3 段").last).to_be_visible()
        async with page.expect_download() as taking:
            await page.get_by_role("button", name="下載評分（CSV）").click()
        download = await taking.value
        assert download.suggested_filename == "labels.csv"
        await download.save_as(tmp_path / "labels.csv")
        assert "utt_rate_3,1,1,1,小美" in (tmp_path / "labels.csv").read_text()
        await page.reload()  # who rates is remembered
        await expect(clip).to_contain_text("帶傘嗎？")
        visitor.at_ease()


async def test_a_round_of_rating_by_pointer_in_english(open_browser: OpenBrowser) -> None:
    fake = Analysing(to_rate={"utt_rate_1": "Will it rain?"})
    async with (
        serving(_runtime()) as served,
        open_browser() as browser,
        visiting(browser, served.url, locale="en-US", expected=["404"]) as visitor,
    ):
        page = visitor.page
        await fake.install(visitor.context)
        await page.goto(f"{served.url}/label")
        await page.get_by_label("Your name").fill("Ann")
        await page.get_by_role("button", name="Begin").click()
        for question, mark in (("confident", "2"), ("steady", "5, Very steady"), ("friendly", "1, Cold")):
            scale = page.get_by_role("group", name=question)
            await scale.get_by_role("radio", name=mark, exact=True).check(force=True)
        await page.get_by_role("button", name="Save, next clip").click()
        await expect(page.get_by_text("All rated. Thank you.")).to_be_visible()
        assert fake.rated["utt_rate_1"] == {"confidence": 2, "stability": 5, "affability": 1, "rater": "Ann"}
        assert await axe_findings(page) == []
        visitor.at_ease()
