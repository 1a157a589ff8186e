"""What is too old is deleted; a clock that jumps, or a slip in a setting, deletes nothing for a day."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kuaimei.dialogue.events import UserText
from kuaimei.settings import Settings, StoreSettings
from kuaimei.store import Store, open_store
from kuaimei.store.retention import Retention
from tests.support.store.searching import database_hits
from tests.support.store.talking import now, sound, take_turn

DAY_S = 86_400.0


class Time:
    """A clock on the wall that can be set, and one that cannot."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 3, 1, tzinfo=UTC)
        self.running_s = 1000.0

    def retention(self, store: Store) -> Retention:
        """As after a start: what the process knew is gone."""
        return Retention(store._database, wall=lambda: self.wall, running_s=lambda: self.running_s)

    def passes(self, days: float) -> None:
        self.wall += timedelta(days=days)
        self.running_s += days * DAY_S


@pytest.fixture
def settings(settings: Settings) -> Settings:
    kept = StoreSettings(database_url=settings.store.database_url, retention_days=30.0)
    return settings.model_copy(update={"store": kept})


async def said(store: Store, time: Time, *sessions: str) -> None:
    """Each of them was begun now."""
    for session in sessions:
        recorder = store.recorder(session)
        take_turn(recorder, 1, "說", sound(2000), "好", sound(2000))
        await recorder.close()
    async with store._database.begin() as connection:
        for table in ("sessions", "utterances"):
            which = "id" if table == "sessions" else "session_id"
            await connection.exec_driver_sql(
                f"update {table} set started_at = %s where {which} = any(%s)", (time.wall, list(sessions))
            )


async def kept(store: Store) -> set[str]:
    return {session.id for session in await store.sessions(500)}


async def test_conversations_go_when_nothing_was_said_in_them_for_so_long(settings: Settings) -> None:
    time = Time()
    async with open_store(settings) as store:
        store.maintenance.retention = time.retention(store)
        await said(store, time, "sess_old", "sess_going_on")
        for _ in range(20):
            time.passes(1)
            assert await store.maintenance.expire() == 0
        await said(store, time, "sess_new", "sess_going_on")
        for _ in range(10):
            time.passes(1)
            await store.maintenance.expire()
        time.passes(0.1)
        assert await store.maintenance.expire() == 1
        assert await kept(store) == {"sess_going_on", "sess_new"}
        assert database_hits(settings.store.database_url, "sess_old") == []


@pytest.mark.usefixtures("trouble")
async def test_a_clock_that_jumps_deletes_nothing(settings: Settings) -> None:
    time = Time()
    async with open_store(settings) as store:
        store.maintenance.retention = time.retention(store)
        await said(store, time, *(f"sess_{n}" for n in range(3)))
        await store.maintenance.expire()
        right = time.wall
        time.wall = datetime(2099, 1, 1, tzinfo=UTC)
        for _ in range(23):  # a day of grace, over several starts
            time.running_s += 3600.0
            store.maintenance.retention = (
                time.retention(store) if time.running_s % 4 == 0 else store.maintenance.retention
            )
            assert await store.maintenance.expire() == 0
        await said(store, time, "sess_2099")  # something new in the wrong century does not confirm it
        assert await store.maintenance.expire() == 0
        time.wall = right + timedelta(days=1)
        for _ in range(100):
            time.running_s += 3600.0
            assert await store.maintenance.expire() == 0
        assert len(await kept(store)) == 4


@pytest.mark.usefixtures("trouble")
async def test_a_machine_that_was_off_for_long_deletes_after_a_day(settings: Settings) -> None:
    time = Time()
    async with open_store(settings) as store:
        store.maintenance.retention = time.retention(store)
        await said(store, time, "sess_a", "sess_b")
        await store.maintenance.expire()
        time.wall += timedelta(days=90)
        store.maintenance.retention = time.retention(store)
        deleted_after_h = None
        for hour in range(30):
            if await store.maintenance.expire():
                deleted_after_h = hour
                break
            time.passes(1 / 24)
        assert deleted_after_h == 24
        assert await kept(store) == set()


@pytest.mark.usefixtures("trouble")
async def test_nearly_everything_goes_only_after_a_day(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """As when somebody sets one day and meant one year."""
    time = Time()
    async with open_store(settings) as store:
        store.maintenance.retention = time.retention(store)
        await said(store, time, *(f"sess_{n}" for n in range(8)))
        for _ in range(31):
            time.passes(1)
            await store.maintenance.retention.now()
        assert await store.maintenance.expire() == 0
        time.passes(0.5)
        assert await store.maintenance.expire() == 0
        assert len(await kept(store)) == 8
        store.maintenance.retention_days = 365.0  # put right
        assert await store.maintenance.expire() == 0
        store.maintenance.retention_days = 30.0
        time.passes(0.6)
        assert await store.maintenance.expire() == 0  # the day begins anew
        time.passes(1.1)
        assert await store.maintenance.expire() == 8
    told = [record.getMessage() for record in caplog.records if "retention_days" in record.getMessage()]
    assert len(told) == 2
    assert told[0].startswith("8 of 8 conversations are past their retention period")


async def test_kept_for_ever_unless_it_is_said(settings: Settings) -> None:
    forever = StoreSettings(database_url=settings.store.database_url)
    assert forever.retention_days == 0
    time = Time()
    async with open_store(settings.model_copy(update={"store": forever})) as store:
        store.maintenance.retention = time.retention(store)
        await said(store, time, "sess_a")
        for _ in range(400):
            time.passes(1)
        assert await store.maintenance.expire() == 0


@pytest.mark.usefixtures("trouble")
async def test_below_the_reserve_words_are_kept_and_no_sound(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    free = 10 * 2**30

    def usage(path: Path) -> Any:
        return type("Usage", (), {"free": free})()

    monkeypatch.setattr("kuaimei.store.disk_space.shutil.disk_usage", usage)
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        take_turn(recorder, 1, "之前", sound(2000), "好", sound(2000))
        free = 100 * 2**20
        for _ in range(3):
            store.space.look()
        take_turn(recorder, 2, "滿了", sound(2000), "是", sound(2000))
        recorder(UserText(3, now(), "打字"))
        assert (await store.health()).disk == "full"
        assert (await store.health()).ok
        free = 600 * 2**20
        store.space.look()
        take_turn(recorder, 4, "之後", sound(2000), "好", sound(2000))
        await recorder.close()
        assert await store.flush()
        found = [(one.transcript, one.state) for one in await store.utterances("sess_a") if one.turn != 3]
        assert found == [
            *(("之前", "stored"), ("好", "stored")),
            *(("滿了", "empty"), ("是", "empty")),
            *(("之後", "stored"), ("好", "stored")),
        ]
        statistics = await store.statistics()
        assert (statistics.lost_bytes, statistics.disk_free_bytes) == (8000, free)
    told = [
        record.getMessage() for record in caplog.records if "of disk space are free" in record.getMessage()
    ]
    assert len(told) == 2  # full, and low again: each once
    assert "no audio until space is freed" in told[0]
