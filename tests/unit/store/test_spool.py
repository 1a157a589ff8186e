import asyncio
import os
import threading
from functools import partial
from pathlib import Path

import pytest

from kuaimei.store.quarantine import forget
from kuaimei.store.spool import Spool, SpoolRun, SpoolWriter
from kuaimei.store.utterance_record import UtteranceRecord


def _record(session: str = "sess_a") -> UtteranceRecord:
    return UtteranceRecord(session=session, turn=1, speaker="user", sample_rate=16_000)


def _wait(event: threading.Event) -> None:
    event.wait()


def _tell(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)


def test_what_comes_twice_lies_once_and_gaps_are_silent(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "utt_1")
    assert spool.size == 0
    spool.write(0, b"abcd")
    spool.write(2, b"cdef")
    spool.write(8, b"ij")
    spool.close()
    assert spool.pcm.read_bytes() == b"abcdef\x00\x00ij"
    assert spool.size == 10
    spool.remove()
    assert list(tmp_path.iterdir()) == []


async def test_writes_happen_in_order_and_the_barrier_waits_for_them() -> None:
    writer = SpoolWriter()
    seen: list[int] = []
    for n in range(1000):
        writer.post(partial(seen.append, n))
    await writer.barrier()
    assert seen == list(range(1000))
    writer.post(partial(seen.append, -1))
    writer.close()
    assert seen[-1] == -1
    assert writer.pending_bytes == 0


async def test_a_failing_operation_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    writer = SpoolWriter()

    def full() -> None:
        raise OSError(28, "No space left on device")

    def broken() -> None:
        raise ValueError("a mistake of ours")

    done = threading.Event()
    writer.post(full, 100)
    writer.post(full, 100)
    writer.post(broken)
    writer.post(done.set, 10)
    await writer.barrier()
    writer.close()
    assert done.is_set()
    assert (writer.lost_bytes, writer.failures) == (200, 3)
    messages = [record.getMessage() for record in caplog.records]
    assert sum("No space left" in message for message in messages) == 1
    assert sum("can be written to disk again" in message for message in messages) == 1


async def test_a_disk_that_stalls_is_not_waited_for_for_ever() -> None:
    writer = SpoolWriter()
    stalled = threading.Event()
    written: list[int] = []
    writer.post(partial(_wait, stalled))
    for n in range(70):
        writer.post(partial(written.append, n), 1_000_000)
    assert writer.lost_bytes == 6_000_000
    stalled.set()
    await writer.barrier()
    assert written == list(range(64))
    writer.post(partial(written.append, 99), 1_000_000)
    await writer.barrier()
    assert written[-1] == 99
    writer.close()


async def test_audio_gets_to_disk_by_itself(tmp_path: Path) -> None:
    writer = SpoolWriter()
    spool = Spool(tmp_path, "utt_1")
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()
    writer.post(partial(spool.write, 0, b"1234"), 4)
    writer.post(lambda: _tell(loop, arrived))
    await arrived.wait()
    assert spool.size == 4
    writer.close()


def test_only_the_dead_are_taken_and_only_once(tmp_path: Path) -> None:
    alive = SpoolRun.begin(tmp_path)
    dead = SpoolRun.begin(tmp_path)
    record = _record()
    spool = dead.spool(record.id)
    spool.save(record.model_dump_json().encode())
    spool.write(0, b"12")
    (dead.folder / "utt_nameless.pcm").write_bytes(b"34")
    (dead.folder / "utt_x.json.new").write_bytes(b"{")
    os.close(dead._lock)  # as the kernel does for a process that was killed
    (found,) = SpoolRun.claim_abandoned(tmp_path)
    assert found.id == dead.id
    assert SpoolRun.claim_abandoned(tmp_path) == []
    assert list(found.records()) == [record]
    assert found.orphans() == ["utt_nameless"]
    found.spool(record.id).remove()
    found.close()
    assert found.folder.exists()  # something nobody knows is never thrown away
    alive.close()
    assert [path.name for path in tmp_path.iterdir()] == [dead.id]


def test_of_an_unreadable_record_only_its_name_is_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = SpoolRun.begin(tmp_path)
    (run.folder / "utt_1.json").write_text("{")
    assert list(run.records()) == []
    assert run.orphans() == ["utt_1"]
    assert caplog.text == ""  # pydantic would quote what was said
    run.close()
    assert run.folder.exists()


def test_forgetting_reaches_every_run(tmp_path: Path) -> None:
    runs = [SpoolRun.begin(tmp_path), SpoolRun.begin(tmp_path)]
    for run in runs:
        for session in ("sess_a", "sess_b"):
            record = _record(session)
            run.spool(record.id).save(record.model_dump_json().encode())
            run.spool(record.id).write(0, b"12")
    forget(tmp_path, lambda record: record.session == "sess_a")
    left = [record.session for run in runs for record in run.records()]
    assert left == ["sess_b", "sess_b"]
    assert len(list(tmp_path.rglob("*.pcm"))) == 2
