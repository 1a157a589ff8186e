"""From what is said to what is seen: kept, measured, scored, told to the page, rated; only talk is fake."""

import re
from pathlib import Path
from typing import Any, cast

from playwright.async_api import expect

from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.scheduling import Scheduler
from kuaimei.runtime import Runtime
from kuaimei.settings import AnalysisSettings, ServerSettings, Settings
from kuaimei.store import open_store
from tests.browser.chat_page import QUESTION, axe_findings, room_engines, visiting
from tests.browser.conftest import OpenBrowser
from tests.integration.store.conftest import cluster, made, settings
from tests.support.server.app_server import serving
from tests.support.store.analysing import analysing

__all__ = ["cluster", "made", "settings"]


async def test_what_is_said_is_analysed_and_shown_by_itself(
    open_browser: OpenBrowser, settings: Settings, tmp_path: Path
) -> None:
    given = settings.model_copy(
        update={"analysis": AnalysisSettings(), "server": ServerSettings(port=0, open=True), "voice": ""}
    )
    idle_monitor = IdleMonitor()
    async with (
        open_store(given) as store,
        analysing(store, given, idle_monitor) as room,
        serving(
            cast(
                Any,
                Runtime(
                    given, room_engines(), store, (), (Scheduler("cores", 1),), idle_monitor, analysis=room
                ),
            )
        ) as served,
        open_browser(1.0, 2.4, 600.0) as browser,
        visiting(browser, served.url, prefer={"transport": "websocket"}, expected=["404"]) as visitor,
    ):
        page = visitor.page
        await visitor.arrive()
        await visitor.talk.click()
        mine = visitor.lines("user").first
        await expect(visitor.lines("assistant")).to_have_attribute("data-status", "done", timeout=30_000)
        await visitor.talk.click()
        mark = mine.locator("[data-analysis=scored]")
        await expect(mark).to_be_visible(timeout=30_000)
        name = await mark.get_attribute("aria-label")
        told = dict(re.findall(r"(自信|穩定|親和) (\d+)", name or ""))
        await mark.click()
        panel = mine.locator("[data-panel=scored]")
        for score, value in told.items():
            await expect(panel.get_by_role("meter", name=score)).to_have_attribute("aria-valuenow", value)
        await expect(panel.locator("[data-clip=ready] [data-pitch]")).to_be_visible()
        await expect(panel.get_by_role("listitem").first).to_be_visible()
        await expect(panel).to_contain_text("說滿 5 句後和平常比")
        assert await axe_findings(page) == []

        await panel.get_by_role("button", name="語氣的變化").click()
        trends = page.get_by_role("dialog").locator("[data-trends=ready]")
        await expect(trends.locator("[data-average=confidence] strong")).to_have_text(told["自信"])
        async with page.expect_download() as taking:
            await trends.get_by_role("button", name="下載資料（CSV）").click()
        sheet = tmp_path / "sheet.csv"
        await (await taking.value).save_as(sheet)
        head, first, *_ = sheet.read_text(encoding="utf-8-sig").splitlines()
        assert {"confidence", "rate_syl_s", "transcript"} <= set(head.split(","))
        assert QUESTION in first

        await page.goto(f"{served.url}/label")
        await page.get_by_label("你的名字").fill("小美")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-round=open]")).to_contain_text(QUESTION)
        for key in ("4", "3", "5", "Enter"):
            await page.keyboard.press(key)
        await expect(page.get_by_text("都評完了")).to_be_visible()
        async with page.expect_download() as taking:
            await page.get_by_role("button", name="下載評分（CSV）").click()
        labels = tmp_path / "labels.csv"
        await (await taking.value).save_as(labels)
        assert labels.read_text(encoding="utf-8-sig").splitlines()[1].endswith(",4,3,5,小美")
        visitor.at_ease()
