"""Nothing is called stored, and no other copy is deleted, before it lies on the disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from kuaimei.errors import NotFound
from kuaimei.settings import RenderingSettings, Settings
from kuaimei.store import Store, open_store
from kuaimei.store.voices import DECODER, JUDGE, REFERENCE, STYLE
from kuaimei.voices.training.spec import write_job_folder
from tests.integration.store.test_deletion_steps import ROW
from tests.support.store.talking import answer, hear, sound


class Journal:
    """Notes in their order: files and folders brought to the disk, renamed, deleted; rows committed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def kept(self, patch: pytest.MonkeyPatch, store: Store | None = None) -> Iterator[None]:
        fsync, rename, unlink = os.fsync, Path.rename, Path.unlink

        def noted_fsync(file: int) -> None:
            place = Path(os.readlink(f"/proc/self/fd/{file}"))
            self.lines.append(f"fsync {'folder' if place.is_dir() else 'file'} {place.name}")
            fsync(file)

        def noted_rename(path: Path, target: Path) -> Path:
            self.lines.append(f"rename {path.name} {Path(target).name}")
            return rename(path, target)

        def noted_unlink(path: Path, missing_ok: bool = False) -> None:
            self.lines.append(f"unlink {path.name}")
            unlink(path, missing_ok)

        def noted_commit(connection: Any) -> None:
            self.lines.append("commit")

        with patch.context() as patched:
            patched.setattr(os, "fsync", noted_fsync)
            patched.setattr(Path, "rename", noted_rename)
            patched.setattr(Path, "unlink", noted_unlink)
            if store is not None:
                event.listen(store._database._engine.sync_engine, "commit", noted_commit)
            yield
            if store is not None:
                event.remove(store._database._engine.sync_engine, "commit", noted_commit)

    def put(self, name: str, folder: str) -> int:
        """When ``name`` had been put into ``folder`` for good; the steps before that are looked at, too."""
        (renamed,) = (
            n for n, line in enumerate(self.lines) if line.endswith(f" {name}") and "rename" in line
        )
        part = self.lines[renamed].split()[1]
        assert f"fsync file {part}" in self.lines[:renamed]
        return self.lines.index(f"fsync folder {folder}", renamed)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With both tiers."""
    return settings.model_copy(update={"rendering": RenderingSettings()})


async def test_a_recording(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    async with open_store(settings) as store:
        with journal.kept(monkeypatch, store):
            recorder = store.recorder("sess_a")
            hear(recorder, 1, sound(4000))
            await recorder.close()
            await store._writer.barrier()
        (user,) = await store.utterances("sess_a")
    safe = journal.put(f"{user.id}.flac", "sess_a")
    committed = journal.lines.index("commit", safe)
    assert journal.lines.index(f"unlink {user.id}.pcm") > committed > safe
    assert f"fsync folder {settings.home.name}" not in journal.lines  # what was there is left alone
    assert "fsync folder recordings" in journal.lines[:safe]  # it has a new folder


async def test_a_second_rendering(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        answer(recorder, 1, "好的。", sound(4800))
        await recorder.close()
        (reply,) = await store.utterances("sess_a")
        order = await store.renderings.begin(reply.id)
        assert order is not None
        with journal.kept(monkeypatch, store):
            pcm = np.zeros(2400, np.int16)
            await store.renderings.save(order, pcm, 24_000, engine="e", clauses=(), took_s=1.0)
    safe = journal.put(f"{reply.id}.hq.flac", "sess_a")
    assert journal.lines.index("commit") > safe


@pytest.mark.parametrize("name", [REFERENCE, JUDGE, STYLE, DECODER])
async def test_a_file_of_a_voice(settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    journal = Journal()
    async with open_store(settings) as store:
        await store.voices.add("voice_a", **ROW)
        with journal.kept(monkeypatch, store):
            await store.voices.put_file("voice_a", name, b"before")
            await store.voices.put_file("voice_a", name, b"after")
            journal.lines.append("acknowledged")
    renamed = [n for n, line in enumerate(journal.lines) if line.endswith(f" {name}")]
    assert len(renamed) == 2  # replaced as a whole
    assert journal.lines.index("fsync folder voice_a", renamed[1]) < journal.lines.index("acknowledged")


def test_what_learning_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    with journal.kept(monkeypatch):
        write_job_folder(
            tmp_path / "style", {"reference": "reference.wav", "style": "style.npy"}, sound(100), b"style"
        )
    order = [journal.put(name, "style") for name in ("reference.wav", "style.npy", "job.json")]
    assert order == sorted(order)


async def test_what_is_deleted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone from the disk before its row of the deletion goes."""
    journal = Journal()
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a")
        hear(recorder, 1, sound(4000))
        await recorder.close()
        with journal.kept(monkeypatch, store):
            assert await store.delete_session("sess_a")
    assert journal.lines.index("fsync folder recordings") > journal.lines.index("commit")
    assert "commit" in journal.lines[journal.lines.index("fsync folder recordings") :]


@pytest.mark.usefixtures("trouble")
async def test_as_long_as_the_disk_says_no_the_spool_stays(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(settings) as store:

        def full(file: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as refusing:
            refusing.setattr(os, "fsync", full)
            recorder = store.recorder("sess_a")
            hear(recorder, 1, sound(4000))
            await store.flush(1.0)
            (user,) = await store.utterances("sess_a")
            assert (user.state, user.sha256) == ("recording", None)
            with pytest.raises(NotFound):
                await store.open_audio(user.id)
            assert len(list((settings.home / "spool").glob("run_*/*.pcm"))) == 1
        await recorder.close()
        assert (await store.utterance(user.id)).state == "stored"
