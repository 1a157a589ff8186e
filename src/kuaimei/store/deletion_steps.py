"""Steps of a deletion: removes a session, an utterance or a voice from every place it is stored in."""

import asyncio
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import and_, delete, exists, or_, select, update

from kuaimei.errors import StoreError
from kuaimei.store import quarantine
from kuaimei.store.blobs import Blobs
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.deletions import Deletion, DeletionKind, Step
from kuaimei.store.jobs import JobQueue
from kuaimei.store.renderings import UNDER_WAY, RenderingRepository
from kuaimei.store.spool import SpoolWriter
from kuaimei.store.tables import analyses, erased_voices, renderings, sessions, utterances, voices
from kuaimei.store.utterance_ingest import UtteranceIngest
from kuaimei.store.utterance_record import UtteranceRecord
from kuaimei.store.utterance_rows import blob_key
from kuaimei.store.voice_paths import learning_folder, sample_folder, sample_voice, voice_folder
from kuaimei.system import durability

__all__ = ["Eraser", "erase_cloned_audio"]

_SOUNDING = or_(
    utterances.c.bytes.is_not(None),
    exists().where(
        renderings.c.utterance_id == utterances.c.id,
        or_(renderings.c.bytes.is_not(None), renderings.c.state.in_(UNDER_WAY)),
    ),
    exists().where(analyses.c.utterance_id == utterances.c.id, analyses.c.contours.is_not(None)),
)
"""Utterances with audio: a recording, a finished or pending rendering, or stored contours."""


_UNNAMED: Final = re.compile(r"[0-9a-f]{32}")
"""File names of samples before they contained the voice."""


class Eraser:
    """Implements the steps of each kind of deletion.

    Args:
        database: The database.
        blobs: Blob store of recordings and voices.
        jobs: Durable jobs.
        tiers: HQ renderings.
        ingest: Utterances on their way to the database.
        writer: Writer of this process's spools.
        home: The data folder.
        spools: Folder of the spool runs.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        jobs: JobQueue,
        tiers: RenderingRepository,
        ingest: UtteranceIngest,
        writer: SpoolWriter,
        home: Path,
        spools: Path,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._jobs = jobs
        self._tiers = tiers
        self._ingest = ingest
        self._writer = writer
        self._home = home
        self._spools = spools
        self.settled = True
        """False: a write of something deleted is still in flight in this process and may still arrive."""

    @property
    def steps(self) -> dict[DeletionKind, Sequence[Step]]:
        """Steps of each kind of deletion, in order."""
        said = (self.stop_jobs, self.forget_spools, self.delete_recordings, self.delete_rows)
        voice = (self.stop_jobs, self.delete_voice_files, self.silence, self.stop_jobs, self.delete_rows)
        return {"session": said, "utterance": said, "voice": voice}

    async def stop_jobs(self, deletion: Deletion) -> None:
        """Cancel running and queued jobs of the subject and its utterances."""
        await self._jobs.cancel_all([deletion.subject, *deletion.utterances])

    async def forget_spools(self, deletion: Deletion) -> None:
        """Delete spooled and quarantined utterances of the subject."""
        await self.forget(lambda record: _belongs(record, deletion), deletion.utterances)

    async def forget(self, matches: Callable[[UtteranceRecord], bool], ids: Collection[str] = ()) -> None:
        """Delete in-flight, spooled and quarantined utterances that match or have one of ``ids``.

        Raises:
            StoreError: If a file cannot be deleted.
        """
        known = set(ids)
        self.settled = await self._ingest.forget(lambda record: matches(record) or record.id in known)
        await self._writer.barrier()
        try:
            await asyncio.to_thread(quarantine.forget, self._spools, matches, known)
        except OSError as error:
            raise StoreError(f"a spool cannot be deleted: {error.strerror}") from error

    async def delete_recordings(self, deletion: Deletion) -> None:
        """Delete the audio of both tiers."""
        if deletion.kind == "session":
            await self._blobs.delete_folder(deletion.session)
        elif deletion.session:
            keys = [blob_key(deletion.session, deletion.subject, tier) for tier in ("fast", "hq")]
            await self._blobs.delete(keys)

    async def delete_voice_files(self, deletion: Deletion) -> None:
        """Delete the voice's reference, style and decoder, its training files and its sample."""
        await self._blobs.delete_folder(voice_folder(deletion.subject))
        await asyncio.to_thread(self._delete_derived, deletion.subject)

    def _delete_derived(self, voice: str) -> None:
        try:
            durability.remove_tree(learning_folder(self._home, voice))
            for path in sample_folder(self._home).glob("*"):
                if sample_voice(path.name) == voice:
                    durability.remove_file(path)
        except OSError as error:
            what = "the training files or the sample of the voice"
            raise StoreError(f"{what} cannot be deleted: {error.strerror}") from error

    async def silence(self, deletion: Deletion) -> None:
        """Delete the audio of replies spoken in erased voices; their text is kept."""
        await self.erase_spoken()

    async def erase_spoken(self) -> int:
        """See `erase_cloned_audio`."""
        return await erase_cloned_audio(self._database, self._blobs, self._tiers)

    @again_after_deadlock
    async def delete_rows(self, deletion: Deletion) -> None:
        """Delete the rows again: one may have been written after the request deleted them."""
        table = {"session": sessions, "utterance": utterances, "voice": voices}[deletion.kind]
        async with self._database.begin() as connection:
            await connection.execute(delete(table).where(table.c.id == deletion.subject))

    async def sweep(self) -> None:
        """Delete leftovers of processes that died while writing something that was being deleted.

        Raises:
            StoreError: If something cannot be deleted.
        """
        await self._blobs.sweep()
        kept = {key.split("/")[1] async for key in self._blobs.keys("voices")}
        learned = await asyncio.to_thread(_names, learning_folder(self._home, "x").parent)
        for voice in await self._gone({*kept, *learned}):
            await self._blobs.delete_folder(voice_folder(voice))
            await asyncio.to_thread(self._delete_derived, voice)
        await self._sweep_samples()
        await self._finish_cancelled()

    async def _sweep_samples(self) -> None:
        """Delete samples of missing cloned voices, and those whose names do not contain a voice."""
        async with self._database.begin() as connection:
            there = set(await connection.scalars(select(voices.c.id)))
        await asyncio.to_thread(self._delete_samples, there)

    def _delete_samples(self, there: Collection[str]) -> None:
        folder = sample_folder(self._home)
        for name in _names(folder):
            voice = sample_voice(name)
            if _UNNAMED.fullmatch(voice) or (voice.startswith("voice_") and voice not in there):
                try:
                    durability.remove_file(folder / name)
                except OSError as error:
                    raise StoreError(f"the sample {name} cannot be deleted: {error.strerror}") from error

    async def _gone(self, suspects: Collection[str]) -> list[str]:
        """Return those of the voices that were deleted."""
        if not suspects:
            return []
        async with self._database.begin() as connection:
            query = select(erased_voices.c.id).where(erased_voices.c.id.in_(suspects))
            return list(await connection.scalars(query))

    async def _finish_cancelled(self) -> None:
        """Finish cancelling renderings whose file was not deleted before the process ended."""
        table = renderings.c
        query = select(table.utterance_id).where((table.state == "cancelled") & table.bytes.is_not(None))
        async with self._database.begin() as connection:
            found = list(await connection.scalars(query))
        for utterance in found:
            await self._tiers.cancel(utterance)


@again_after_deadlock
async def erase_cloned_audio(database: Database, blobs: Blobs, tiers: RenderingRepository) -> int:
    """Delete the audio of replies spoken in erased voices, in both tiers, and its analyses.

    Replies that are being spoken meanwhile are found the next time.

    Args:
        database: The database.
        blobs: Blob store of the recordings.
        tiers: HQ renderings; those of the replies are cancelled.

    Returns:
        Number of replies.

    Raises:
        StoreError: If a part could not be deleted; call it again.
    """
    said = utterances
    query = select(said.c.id, said.c.session_id).where(
        and_(said.c.voice.in_(select(erased_voices.c.id)), said.c.state != "recording", _SOUNDING)
    )
    async with database.begin() as connection:
        found = (await connection.execute(query)).all()
    for row in found:
        await tiers.cancel(row.id)
        # The row last: as long as it names a recording, a later run finds it.
        await blobs.delete([blob_key(row.session_id, row.id)])
        silent: dict[str, Any] = dict.fromkeys(("blob_key", "sha256", "bytes", "duration_ms", "sample_rate"))
        async with database.begin() as connection:
            await connection.execute(delete(analyses).where(analyses.c.utterance_id == row.id))
            await connection.execute(update(said).where(said.c.id == row.id).values(state="empty", **silent))
    return len(found)


def _belongs(record: UtteranceRecord, deletion: Deletion) -> bool:
    if deletion.kind == "session":
        return record.session == deletion.subject
    return record.id == deletion.subject


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
