"""In which order a server is opened: nothing computes before the database is up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from kuaimei import wiring
from kuaimei.errors import EngineError
from kuaimei.models.source import Role, Source
from kuaimei.settings import Settings, StoreSettings
from kuaimei.store.starting import DatabaseStart


class SlowDatabase(DatabaseStart):
    """Comes up when it is told to."""

    def __init__(self) -> None:
        super().__init__(None)
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def up(self) -> None:
        self.asked.set()
        await self.let.wait()


async def test_no_engine_is_opened_before_the_database_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    imported = asyncio.Event()
    loop = asyncio.get_running_loop()

    def opener(name: str) -> object:
        @asynccontextmanager
        async def open_it(*_: object) -> AsyncIterator[None]:
            opened.append(name)
            raise EngineError("far enough")
            yield

        def make(*given: object) -> AbstractAsyncContextManager[None]:
            return open_it(*given)

        return make

    names = ("language_model", "synthesizer", "recognizer", "vad", "turn_detector", "captioner")
    for name in names:
        monkeypatch.setattr(wiring, f"open_{name}", opener(name))
    roles: tuple[Role, ...] = ("llm", "tts", "asr", "vad", "turn", "captions")
    monkeypatch.setattr(wiring, "sources", lambda _: {role: Source(role, role, role) for role in roles})
    monkeypatch.setattr(wiring, "_second", lambda _: None)
    monkeypatch.setattr(
        wiring, "import_libraries", lambda _: loop.call_soon_threadsafe(imported.set) and None
    )
    database = SlowDatabase()
    settings = Settings(store=StoreSettings(keep=False))
    opening = asyncio.ensure_future(_enter(wiring.open_house(settings, database=database)))
    await database.asked.wait()
    await imported.wait()  # which is what the time is used for
    assert not opened
    database.let.set()
    with pytest.raises(EngineError, match="far enough"):
        await opening
    assert set(opened) <= set(names)
    assert opened


async def _enter(context: AbstractAsyncContextManager[object]) -> None:
    async with context:
        pass
