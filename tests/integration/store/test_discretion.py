"""What people say is in no log: not when all goes well, and not when anything fails, at whichever stage."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

import kuaimei
from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.events import Event
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.errors import EngineError
from kuaimei.rendering.broadcast import Announcements
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.rendering.renderer import HqEngine, Renderer, RenderingCounts
from kuaimei.settings import AnalysisSettings, DialogueSettings, RenderingSettings, Settings
from kuaimei.store import Store, StoredTranscript, UtteranceRow, open_store
from kuaimei.store.analyses import ANALYSE_JOB
from kuaimei.store.jobs import Job
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.store.renderings import HQ_JOB
from tests.support.fakes import FakeRecognizer, FakeSynthesizer, fake_engines, play, said, silence
from tests.support.store.analysing import analysing
from tests.support.store.searching import database_hits

SPOKEN, TYPED, WRITTEN = "密語甲", "密語乙", "密語丙"
SECRET = "密語"
"""In all of them."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With everything that is done with what was said."""
    return settings.model_copy(update={"rendering": RenderingSettings(), "analysis": AnalysisSettings()})


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything of ours, and of whatever logs on our behalf."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "kuaimei")
    return caplog


class Talkative(Exception):
    """What a library throws: it quotes what it was given."""


def quoting(text: str) -> Exception:
    return Talkative(f"cannot process {text!r}")


class Failing(FakeSynthesizer):
    """Fails on any text, and quotes it."""

    async def stream(self, req: Any) -> AsyncIterator[Pcm]:
        raise quoting(req.text)
        yield  # a generator


class Deaf(FakeRecognizer):
    """Fails when somebody waits, and quotes what it nearly understood."""

    async def transcribe(self, pcm: Pcm, req: Any) -> Any:
        raise quoting(SPOKEN)


class Mute:
    """A language model that fails, and quotes what it was asked."""

    async def stream(self, req: Any) -> AsyncIterator[str]:
        raise quoting(req.messages[-1].content)
        yield  # a generator

    async def warm(self, req: Any) -> None:
        raise quoting(str(req.messages))

    async def count_tokens(self, text: str) -> int:
        return len(text)


@asynccontextmanager
async def working(store: Store, settings: Settings, *, fail: bool) -> AsyncIterator[None]:
    """All durable jobs are done, or fail and quote what they were given."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[FakeSynthesizer]:
        yield Failing(delay_s=0.0) if fail else FakeSynthesizer(delay_s=0.0)

    async def engine_for(voice: str) -> HqEngine:
        return HqEngine("fake", "fake 1", 100.0, opened, lambda found: "fake_one")

    async def transcribe(utterance: UtteranceRow, pieces: AsyncIterator[Pcm]) -> StoredTranscript:
        if fail:
            raise quoting(SPOKEN)
        return StoredTranscript(SPOKEN, "zh")

    async with AsyncExitStack() as stack:
        model_cache = await stack.enter_async_context(ModelCache(1000.0))
        room = await stack.enter_async_context(analysing(store, settings, jobs=False))
        given = store.renderings, engine_for, model_cache, IdleMonitor(), Announcements(), RenderingCounts()
        jobs: dict[str, Job] = {HQ_JOB: Renderer(*given), ANALYSE_JOB: room.analyst}
        task = asyncio.ensure_future(store.run_jobs(jobs, transcribe=transcribe, apart=tuple(jobs)))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def converse(store: Store, engines: Engines) -> list[Event]:
    """Spoken, typed and answered."""
    events: list[Event] = []
    recorder = store.recorder("sess_a", client={"name": "test"})
    async with Conversation(engines, DialogueSettings(), "sess_a", [recorder, events.append]) as conversation:
        await play(conversation, said(SPOKEN), silence(1500))
        await conversation_is_idle(conversation)
        conversation.send_text(TYPED)
        await conversation_is_idle(conversation)
    await recorder.close()
    await store.flush()
    return events


async def conversation_is_idle(conversation: Conversation) -> None:
    async with asyncio.timeout(60):
        await asyncio.sleep(0.05)
        while conversation.state != "listening":  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def engines(**changed: Any) -> Engines:
    found = fake_engines()
    found.language_model.reply = f"{WRITTEN}，就這樣。"  # type: ignore[attr-defined]
    return replace(found, **changed)


def written(cluster: EmbeddedPostgres, before: int) -> str:
    """What the database has logged since its log had ``before`` bytes."""
    return (cluster.folder / "log").read_bytes()[before:].decode()


STAGES: dict[str, Any] = {
    "nothing": {},
    "recognition": {"recognizer": Deaf()},
    "thinking": {"language_model": Mute()},
    "synthesis": {"synthesizer": Failing(delay_s=0.0)},
}


async def jobs_done(store: Store) -> None:
    async with asyncio.timeout(90):
        while True:
            counts = await store._jobs.counts()
            if not counts.get("doing") and not await store._jobs.has_ready_job("transcribe"):
                return
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("stage", STAGES)
async def test_an_engine_that_quotes_what_it_was_given(
    settings: Settings, log: pytest.LogCaptureFixture, stage: str, cluster: EmbeddedPostgres
) -> None:
    before = (cluster.folder / "log").stat().st_size
    async with open_store(settings) as store:
        async with working(store, settings, fail=stage != "nothing"):
            events = await converse(store, engines(**STAGES[stage]))
            await jobs_done(store)
        assert any(SECRET in str(event) for event in events)  # it was there to be told
        for turn in await store.turns("sess_a"):
            assert SECRET not in str(turn.failures)
        for one in await store.utterances("sess_a"):
            assert one.hq is None or SECRET not in str(one.hq.error)
        await store.delete_session("sess_a")
    assert SECRET not in log.text
    assert SECRET not in written(cluster, before)
    assert database_hits(settings.store.database_url, SECRET) == []


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("table", ["sessions", "utterances", "turns", "renderings", "analyses"])
async def test_a_database_that_refuses_the_row(
    settings: Settings, log: pytest.LogCaptureFixture, table: str, cluster: EmbeddedPostgres
) -> None:
    """PostgreSQL quotes the whole row, SQLAlchemy its parameters."""
    before = (cluster.folder / "log").stat().st_size
    async with open_store(settings) as store:
        with psycopg.connect(settings.store.database_url, autocommit=True) as connection:
            connection.execute(f"alter table {table} add constraint never check (false) not valid")
        async with working(store, settings, fail=False):
            await converse(store, engines())
            await jobs_done(store)
        statistics = await store.statistics()
        assert statistics.unsaved == 0
        assert statistics.broken == {"sessions": 4, "utterances": 4, "turns": 2}.get(table, 0)
        await store.erase_spoken()
    assert log.records
    assert SECRET not in log.text
    assert SECRET not in written(cluster, before)


@pytest.mark.usefixtures("trouble")
def test_the_log_would_have_told(log: pytest.LogCaptureFixture) -> None:
    """The assertion above can fail."""
    logging.getLogger("kuaimei.store").debug("said: %s", SPOKEN)
    try:
        raise EngineError(SPOKEN)
    except EngineError:
        logging.getLogger("kuaimei.store").exception("it failed")
    assert log.text.count(SECRET) == 2


def test_nobody_logs_an_error_in_its_own_words() -> None:
    """A traceback prints what a library says, which may be what it was given."""
    source = Path(kuaimei.__file__).parent
    found = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if "exc_info=" in (text := path.read_text(encoding="utf-8")) or "_log.exception(" in text
    }
    assert found == set()
