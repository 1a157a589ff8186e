"""In which order a server is opened: nothing computes before the database is up."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from kuaimei import runtime
from kuaimei.engines.types import LLMReq
from kuaimei.errors import EngineError
from kuaimei.models.source import EngineSource, Role
from kuaimei.settings import Settings, StoreSettings
from kuaimei.store.postgres.startup import DatabaseStart


class SlowDatabase(DatabaseStart):
    """Comes up when it is told to."""

    def __init__(self) -> None:
        super().__init__(None)
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def up(self) -> None:
        self.asked.set()
        await self.let.wait()


ROLES: tuple[Role, ...] = ("llm", "tts", "asr", "vad", "turn", "captions")
OPENERS = ("language_model", "synthesizer", "recognizer", "vad", "turn_detector", "captioner")


class FakeLanguageModel:
    """Has nothing to warm."""

    async def warm(self, req: LLMReq) -> None:
        """Read nothing."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is opened and closed, in order; none of it does anything."""
    told: list[str] = []

    def opener(name: str) -> Callable[..., AbstractAsyncContextManager[object]]:
        @asynccontextmanager
        async def open_it(*_: object) -> AsyncIterator[object]:
            told.append(f"{name} opened")
            yield FakeLanguageModel()
            told.append(f"{name} closed")

        return open_it

    for name in OPENERS:
        monkeypatch.setattr(runtime, f"open_{name}", opener(name))
    monkeypatch.setattr(
        runtime, "sources", lambda _: {role: EngineSource(role, role, role) for role in ROLES}
    )
    monkeypatch.setattr(runtime, "_hq_source", lambda _: None)
    monkeypatch.setattr(runtime, "import_libraries", lambda _: told.append("libraries imported"))
    return told


async def test_no_engine_is_opened_before_the_database_is_up(
    told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = threading.Event()
    monkeypatch.setattr(runtime, "import_libraries", lambda _: imported.set())
    database = SlowDatabase()
    settings = Settings(store=StoreSettings(keep=False))
    opening = asyncio.ensure_future(_enter(runtime.open_runtime(settings, database=database)))
    await database.asked.wait()
    assert await asyncio.to_thread(imported.wait, 60)  # which is what the time is used for
    assert not told
    told.append("database up")
    database.let.set()
    await opening
    assert set(told[1:7]) == {f"{name} opened" for name in OPENERS}


async def test_it_is_told_when_only_engines_are_left_to_close(told: list[str]) -> None:
    settings = Settings(store=StoreSettings(keep=False))
    opening = runtime.open_runtime(settings, when_kept=lambda: told.append("all is kept"))
    async with opening:
        told.append("open")
    at = told.index("all is kept")
    assert told.index("open") < at
    assert {line for line in told[at:] if line.endswith("closed")} == {f"{name} closed" for name in OPENERS}


async def test_after_a_failure_all_is_closed_in_order(told: list[str]) -> None:
    settings = Settings(store=StoreSettings(keep=False))
    with pytest.raises(EngineError):
        async with runtime.open_runtime(settings, when_kept=lambda: told.append("all is kept")):
            raise EngineError("broken")
    assert "all is kept" not in told


async def _enter(context: AbstractAsyncContextManager[object]) -> None:
    async with context:
        pass
