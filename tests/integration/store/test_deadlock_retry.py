"""Two who wait for each other: one is ended by the database, begins again, and nobody is told of it."""

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from kuaimei.dialogue.events import FinalTranscript, TurnLatencies, TurnMetrics
from kuaimei.errors import StoreError
from kuaimei.settings import Settings
from kuaimei.store import Store, open_store
from kuaimei.store.deadlock_retry import Deadlock, again_after_deadlock
from kuaimei.store.utterance_rows import SESSION_LOCK
from tests.support.store.talking import hear, now, sound
from tests.support.virtual_time import virtually

STORE = Path(__file__).parents[3] / "src/kuaimei/store"
WRITING = ("insert", "update", "delete")


async def _said(store: Store, session: str) -> str:
    recorder = store.recorder(session)
    hear(recorder, 1, sound(4000))
    recorder(FinalTranscript(1, now(), "說過的話", "zh"))
    assert await store.flush()
    await recorder.close()
    (said,) = await store.utterances(session)
    return said.id


async def _waits(settings: Settings) -> None:
    """Until somebody waits for a lock."""
    async with await psycopg.AsyncConnection.connect(settings.store.database_url, autocommit=True) as looking:
        async with asyncio.timeout(60):
            while True:
                found = await looking.execute("select count(*) from pg_locks where not granted")
                if (await found.fetchone() or (0,))[0]:
                    return
                await asyncio.sleep(0.02)


async def test_a_deletion_that_meets_a_deadlock_is_made_all_the_same(settings: Settings) -> None:
    async with open_store(settings) as store:
        utterance = await _said(store, "sess_a")
        async with await psycopg.AsyncConnection.connect(settings.store.database_url) as other:
            # The deletion is the one that is ended: this one looks for deadlocks later.
            await other.execute("set deadlock_timeout = '60s'")
            await other.execute("select 1 from utterances where id = %s for update", (utterance,))
            deleting = asyncio.ensure_future(store.delete_session("sess_a"))
            await _waits(settings)  # it has the session, and wants what was said in it
            await other.execute("select 1 from sessions where id = 'sess_a' for key share")
            await other.commit()
        await deleting
        assert await store.sessions() == []


async def test_an_utterance_is_not_locked_while_its_session_is_being_deleted(settings: Settings) -> None:
    """Else the deletion waits for the utterance, and that for the session."""
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(4000))
        recorder(FinalTranscript(1, now(), "說過的話", "zh"))
        assert await store.flush()
        (said,) = await store.utterances("sess_a")
        async with await psycopg.AsyncConnection.connect(settings.store.database_url) as deleting:
            lock = "select pg_advisory_xact_lock(%s, hashtext('sess_a'))"
            await deleting.execute(lock, (SESSION_LOCK,))
            recorder(TurnMetrics(1, now(), TurnLatencies(first_audio_ms=900.0)))
            await _waits(settings)
            await deleting.execute("select 1 from utterances where id = %s for update nowait", (said.id,))
            await deleting.commit()
        assert await store.flush()
        (turn,) = await store.turns("sess_a")
        assert turn.timings["first_audio_ms"] == 900.0
        await recorder.close()


@virtually
async def test_it_is_tried_five_times_and_another_error_once() -> None:
    met: list[str] = []

    @again_after_deadlock
    async def write(error: StoreError) -> None:
        met.append(str(error))
        raise error

    for error, times in ((Deadlock("again"), 5), (StoreError("away"), 1)):
        with pytest.raises(StoreError, match=str(error)):
            await write(error)
        assert met.count(str(error)) == times


def _writers() -> Iterator[tuple[str, ast.AsyncFunctionDef]]:
    """Whatever writes rows in a transaction of its own."""
    for path in sorted(STORE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef):
                called = [ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)]
                begins = any(name.endswith("database.begin") for name in called)
                if begins and any(name in WRITING for name in called):
                    yield f"{path.name}: {node.name}", node


def test_whatever_writes_rows_begins_again_after_a_deadlock() -> None:
    found = dict(_writers())
    assert len(found) > 25
    bare = [
        name
        for name, node in found.items()
        if "again_after_deadlock" not in {ast.unparse(decorator) for decorator in node.decorator_list}
    ]
    assert not bare
