"""`kuaimei analyse --all`: what is kept and not done yet, from wherever it was broken off."""

import asyncio

import pytest
from sqlalchemy import func, select

from kuaimei.cli import reanalyse
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.vad import open_vad
from kuaimei.settings import AnalysisSettings, Settings
from kuaimei.store import open_store, tables
from tests.support.store.analysing import voice
from tests.support.store.talking import eventually, hear, take_turn


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With analysis, and a detector of speech that needs no weights."""

    def webrtc(settings: Settings, role: object, opener: object) -> object:
        from kuaimei.engines.scheduling import Scheduler
        from kuaimei.models.source import EngineSource

        return open_vad(
            EngineContext(settings, Scheduler("cores", 1)), EngineSource("vad", "webrtc", "webrtc")
        )

    monkeypatch.setattr(reanalyse, "open_engine", webrtc)
    return settings.model_copy(update={"analysis": AnalysisSettings()})


async def test_all_of_it_is_done_and_done_once(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        for turn in range(1, 5):
            take_turn(recorder, turn, "今天的天氣真的很不錯", voice(), "好的。", voice(1.6, 220.0, 24_000))
        # Nobody recognises this one here: it is done without its words and not waited for.
        hear(recorder, 5, voice())
        await recorder.close()
        table = tables.analyses

        async def some() -> bool:
            async with store._database.begin() as connection:
                done = select(func.count()).select_from(table).where(table.c.state != "waiting")
                return bool(await connection.scalar(done))

        broken_off = asyncio.ensure_future(reanalyse.reanalyse(settings, again=False))
        await eventually(some)
        broken_off.cancel()
        await asyncio.gather(broken_off, return_exceptions=True)
        async with store._database.begin() as connection:
            done = await connection.scalar(
                select(func.count()).select_from(table).where(table.c.state != "waiting")
            )
        told = await reanalyse.reanalyse(settings, again=False)
        assert told["analysed"] + done == 9
        assert told["failed"] == 0
        told = await reanalyse.reanalyse(settings, again=False)
        assert told["analysed"] == 0
        told = await reanalyse.reanalyse(settings, again=True)
        assert told["analysed"] == told["scored"] + told["without scores"] == 9
