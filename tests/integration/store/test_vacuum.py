"""What was deleted is not in the files of the database either."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from kuaimei.dialogue.events import UserText
from kuaimei.settings import AnalysisSettings, RenderingSettings, Settings
from kuaimei.store import Store, open_store, vacuum
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.store.tables import metadata
from tests.support.store.searching import file_hits
from tests.support.store.talking import now, sound, take_turn

SECRET = "sentinelofvacuum"


@pytest.fixture
def settings(server: EmbeddedPostgres, folder: Path) -> Settings:
    """With a cluster of its own, as a user has it."""
    return Settings(
        home=folder, rendering=RenderingSettings(hq="none"), analysis=AnalysisSettings(enabled=False)
    )


async def talk(store: Store, session: str, words: str) -> None:
    recorder = store.recorder(session)
    for turn in range(1, 6):
        take_turn(recorder, turn, f"{words} {turn}", sound(500), f"{words} 回答 {turn}", sound(500))
    recorder(UserText(7, now(), f"{words} " + "".join(chr(0x4E00 + n * 37 % 20_000) for n in range(6000))))
    await recorder.close()
    assert await store.flush()


async def test_deleted_words_are_in_no_file_of_the_database(settings: Settings) -> None:
    data = settings.home / "postgres" / "data"
    async with open_store(settings) as store:
        await talk(store, "sess_before", "ordinary")
        await talk(store, "sess_secret", SECRET)
        await store.rename_session("sess_secret", SECRET)
        await talk(store, "sess_after", "ordinary")
        with psycopg.connect(
            f"host={settings.home / 'postgres'} user=postgres", autocommit=True
        ) as connection:
            connection.execute("checkpoint")
        hits = await asyncio.to_thread(file_hits, data, SECRET)
        assert any(name.startswith("base") for name in hits)
        assert any(name.startswith("pg_wal") for name in hits)
        assert await store.delete_session("sess_secret")
        tidying = asyncio.ensure_future(store.maintenance.run())
        async with asyncio.timeout(120):
            while await asyncio.to_thread(file_hits, data, SECRET):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        tidying.cancel()
        await asyncio.gather(tidying, return_exceptions=True)
        assert [len(await store.utterances(name)) for name in ("sess_before", "sess_after")] == [11, 11]
    assert await asyncio.to_thread(file_hits, settings.home, SECRET) == []


async def test_a_table_that_is_in_use_is_left_for_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vacuum, "_LOCK_MS", 50)
    async with open_store(settings) as store:
        await talk(store, "sess_a", "ordinary")
        async with store._database.begin() as connection:
            await connection.exec_driver_sql("lock table utterances in access share mode")
            assert not await store.maintenance.vacuum()
        assert await store.maintenance.vacuum()


def test_every_table_with_words_is_looked_after() -> None:
    """Of what is known of deleted voices, and of clocks, nothing was said by anybody."""
    assert metadata.tables.keys() - set(vacuum.TABLES) == {"erased_voices", "clocks"}
