"""SIGKILL at any moment: what had arrived is there after the next start, and unfinished jobs run."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.events import FinalTranscript, SpeechAudio, SpeechStarted, TurnEnded
from kuaimei.settings import Settings
from kuaimei.store import Store, StoredTranscript, UtteranceRow, open_store
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.store.spool import Spool
from tests.support.store.killed_process import HEARD, SECOND_CLAUSE, SPOKEN
from tests.support.store.talking import FRAME, answer, eventually, hear, now, recording, run_jobs, sound

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def victim(
    settings: Settings, what: str, module: str = "tests.support.store.killed_process"
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        *(str(settings.home), settings.store.database_url, what),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        assert process.stdout is not None
        await process.stdout.read()
        await process.wait()


async def reached(process: asyncio.subprocess.Process, stage: str, amount: int = 0) -> str:
    """Read on until the victim has got so far; its last word."""
    assert process.stdout is not None
    async for line in process.stdout:
        name, value = line.decode().split()
        if name == stage and (not amount or int(value) >= amount):
            return value
    raise AssertionError(f"it ended before {stage} {amount}")


async def on_disk(home: Path, size: int) -> bool:
    """So many bytes of audio are in the spools."""
    return sum(path.stat().st_size for path in (home / "spool").glob("run_*/*.pcm")) >= size


async def transcribing(store: Store, said: str) -> list[Pcm]:
    """Run the jobs until none is left; what was given to be recognised."""
    heard: list[Pcm] = []

    async def transcribe(utterance: UtteranceRow, pieces: AsyncIterator[Pcm]) -> StoredTranscript:
        heard.append(np.concatenate([piece async for piece in pieces]))
        return StoredTranscript(said, "zh")

    await run_jobs(store, transcribe)
    return heard


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("samples", [FRAME, 13 * FRAME, 60 * FRAME, 119 * FRAME])
async def test_killed_while_somebody_speaks(settings: Settings, samples: int) -> None:
    async with victim(settings, "converse") as process:
        arrived = int(await reached(process, "speaking", samples))
        # It gets there by itself, nobody asks for it.
        await eventually(lambda: on_disk(settings.home, 2 * arrived))
        process.send_signal(signal.SIGKILL)
    async with open_store(settings) as store:
        (listed,) = await store.sessions()
        (kept,) = await store.utterances(listed.id)
        assert (kept.state, kept.speaker, kept.transcript) == ("recovered", "user", None)
        pcm, rate = await recording(store, kept.id)
        assert rate == 16_000
        assert arrived <= len(pcm) <= len(HEARD)
        np.testing.assert_array_equal(pcm, HEARD[: len(pcm)])
        (heard,) = await transcribing(store, "補上的字")
        np.testing.assert_array_equal(heard, pcm)
        assert (await store.utterance(kept.id)).transcript == "補上的字"
        assert [m.content for m in await store.history("sess_victim")] == ["補上的字"]
    assert list((settings.home / "spool").iterdir()) == []


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize(("stage", "amount"), [("ended", 0), ("understood", 0), ("replying", 40_000)])
async def test_killed_after_the_turn_has_ended(settings: Settings, stage: str, amount: int) -> None:
    async with victim(settings, "converse") as process:
        await reached(process, stage, amount)
        process.send_signal(signal.SIGKILL)
    async with open_store(settings) as store:
        user, *replies = await store.utterances("sess_victim")
        assert user.state in {"stored", "recovered"}
        np.testing.assert_array_equal((await recording(store, user.id))[0], HEARD)
        heard = await transcribing(store, "補上的字")
        found = (await store.utterance(user.id)).transcript
        assert found == ("補上的字" if heard else "說完了")
        for reply in replies:
            said = "好的。再見。" if amount > SECOND_CLAUSE else "好的。"
            assert (reply.transcript, reply.voice) == (said, "zf_xiaobei")
            if reply.state != "empty":
                assert (reply.state, reply.interrupted) == ("recovered", True)
                pcm, rate = await recording(store, reply.id)
                assert rate == 24_000
                np.testing.assert_array_equal(pcm, SPOKEN[: len(pcm)])
        assert stage != "replying" or replies


@pytest.mark.parametrize("left", [("pcm", "json"), ("json",), ("pcm",)], ids="+".join)
async def test_killed_while_a_spool_was_removed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, left: tuple[str, ...]
) -> None:
    pcm = sound(20_000)
    async with open_store(settings) as store:
        with monkeypatch.context() as killed:
            killed.setattr(Spool, "remove", lambda spool: None)
            recorder = store.recorder("sess_a")
            hear(recorder, 1, pcm)
            answer(recorder, 1, "好的。", pcm)
            assert await store.flush()
            await store._writer.barrier()
            store._recorders.clear()  # nobody is there any more to end them
        (run,) = (settings.home / "spool").iterdir()
        for path in run.glob("utt_*.*"):
            if path.suffix[1:] not in left:
                path.unlink()
        before = [replace(row, transcript=None) for row in await store.utterances("sess_a")]
        assert [row.state for row in before] == ["stored", "stored"]
    async with open_store(settings) as store:
        (heard,) = await transcribing(store, "補上的字")
        np.testing.assert_array_equal(heard, pcm)
        after = await store.utterances("sess_a")
        assert [row.transcript for row in after] == ["補上的字", "好的。"]
        assert [replace(row, transcript=None, language=None) for row in after] == before
        assert [path.name for path in (settings.home / "spool").iterdir()] == [store._run.id]


@pytest.mark.usefixtures("trouble")
async def test_killed_while_the_database_was_away(settings: Settings, cluster: EmbeddedPostgres) -> None:
    async with victim(settings, "converse") as process:
        await reached(process, "speaking", FRAME)
        await asyncio.to_thread(cluster._pg_ctl, "stop", "-m", "immediate")
        await reached(process, "replying", len(SPOKEN))
        await eventually(lambda: on_disk(settings.home, 2 * (len(HEARD) + len(SPOKEN))))
        process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(cluster.ensure_running)
    async with open_store(settings) as store:
        user, reply = await store.utterances("sess_victim")
        np.testing.assert_array_equal((await recording(store, user.id))[0], HEARD)
        np.testing.assert_array_equal((await recording(store, reply.id))[0], SPOKEN)
        assert reply.state == "recovered"


@pytest.mark.usefixtures("trouble")
async def test_a_job_whose_worker_was_killed_is_done_by_the_next(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(20_000))
        await recorder.close()  # without a transcript
        assert await store._jobs.counts() == {"todo": 1}
    async with victim(settings, "work") as process:
        utterance = await reached(process, "working")
        process.send_signal(signal.SIGKILL)
    async with open_store(settings) as store:
        assert await store._jobs.counts() == {"doing": 1}
        assert len(await transcribing(store, "終於")) == 1
        assert (await store.utterance(utterance)).transcript == "終於"


async def test_the_living_are_not_recovered(settings: Settings) -> None:
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        recorder(SpeechStarted(1, now(), 0.0))
        recorder(SpeechAudio(1, now(), sound(512)))
        assert await store.flush()
        async with open_store(settings) as second:
            (seen,) = await second.utterances("sess_a")
            assert seen.state == "recording"
        recorder(SpeechAudio(1, now(), sound(512)))
        recorder(TurnEnded(1, now(), now(), 64.0, "silence"))
        recorder(FinalTranscript(1, now(), "好", "zh"))
        await recorder.close()
        assert (await store.utterance(seen.id)).duration_ms == 64.0


async def test_a_long_recording_is_transcribed_in_pieces(settings: Settings) -> None:
    speech = sound(16_000 * 50)
    speech[16_000 * 17 : 16_000 * 18] = 0  # a pause
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, speech)
        await recorder.close()
        lengths: list[int] = []

        async def transcribe(utterance: UtteranceRow, pieces: AsyncIterator[Pcm]) -> StoredTranscript:
            lengths.extend([len(piece) async for piece in pieces])
            return StoredTranscript("", None)

        await run_jobs(store, transcribe)
        assert sum(lengths) == len(speech)
        assert 16_000 * 17 < lengths[0] < 16_000 * 18
        assert max(lengths) <= 16_000 * 20


@contextlib.contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file may grow beyond ``limit`` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("trouble")
async def test_a_full_disk_is_told_once_and_nobody_stumbles(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    speech = sound(64_000)
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        recorder(SpeechStarted(1, now(), 0.0))
        with full_disk(64_000):
            for start in range(0, 48_000, 500):
                recorder(SpeechAudio(1, now(), speech[start : start + 500]))
            await store._writer.barrier()
        for start in range(48_000, 64_000, 500):
            recorder(SpeechAudio(1, now(), speech[start : start + 500]))
        recorder(TurnEnded(1, now(), now(), 4000.0, "silence"))
        recorder(FinalTranscript(1, now(), "滿了", "zh"))
        await recorder.close()
        assert (await store.statistics()).lost_bytes == 32_000
        (kept,) = await store.utterances("sess_a")
        pcm, _ = await recording(store, kept.id)
        np.testing.assert_array_equal(pcm[:32_000], speech[:32_000])
        assert not pcm[32_000:48_000].any()  # silence keeps the place of what is lost
        np.testing.assert_array_equal(pcm[48_000:], speech[48_000:])
    assert len([r for r in caplog.records if "cannot be written to disk" in r.getMessage()]) == 1
