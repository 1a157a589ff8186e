"""Write-behind ingestion: moves utterances from the spool to database and blob store, with retries.

Conversations never wait for it. Each utterance has a `PendingUtterance`; `UtteranceIngest.enqueue` is called
whenever something about it changes, and a task of its own writes the row, compresses and stores the audio
once that is complete, and deletes the spool only when both are safe. Failures are retried with back-off for
as long as the process lives, and from the spool by the next one.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from sqlalchemy.exc import IntegrityError

from kuaimei.audio.pcm import ASR_RATE
from kuaimei.errors import StoreError, Unstorable
from kuaimei.store import flac
from kuaimei.store.blobs import Blobs
from kuaimei.store.database import Database
from kuaimei.store.quarantine import Broken
from kuaimei.store.spool import Spool, SpoolWriter
from kuaimei.store.utterance_record import UtteranceRecord
from kuaimei.store.utterance_rows import blob_key, empty_row, insert_rows, update_row
from kuaimei.system.failures import kind_of, trace_of

__all__ = ["PendingUtterance", "UtteranceIngest"]

_log = logging.getLogger(__name__)

_MAX_CONCURRENCY: Final = 3
_FIRST_DELAY_S: Final = 0.25
_LONGEST_DELAY_S: Final = 10.0
_HEAL_S: Final = 1.0
"""Minimum seconds between two checks whether the database runs."""
_FORGET_WAIT_S: Final = 10.0
_ITEMS_MAX: Final = 2000
"""Utterances that may wait in memory while the database is unavailable; the spools of further ones are left
to the next start."""
_UNFORESEEN_MAX: Final = 10
"""Attempts after which an utterance with unexpected errors is quarantined."""


@dataclass(slots=True, eq=False)
class PendingUtterance:
    """An utterance that is not yet fully stored.

    Attributes:
        run: Id of the spool run in its row.
        client: For the row of its session, if that has to be made.
        wants_transcript: It has to be transcribed by a job.
        asked_hq: An HQ rendering of the reply has been queued.
        asked_about: Transcript for which an analysis has been queued; None: none has been.
        gone: It was deleted or quarantined; nothing of it may be written again.
        safe: An earlier process stored a recording of it.
        dirty: Something has changed since it was last written.
        put_away: None of its audio is left to be stored.
        resting: Its task waits between two attempts.
        unforeseen: Number of unexpected errors.
    """

    record: UtteranceRecord
    spool: Spool
    run: str
    client: dict[str, Any] = field(default_factory=dict)
    wants_transcript: bool = False
    asked_hq: bool = False
    asked_about: str | None = None
    gone: bool = False
    safe: bool = False
    dirty: bool = False
    put_away: bool = False
    resting: bool = False
    unforeseen: int = 0
    audio: flac.Flac | None = None
    task: "asyncio.Task[None] | None" = None

    @property
    def recorded(self) -> bool:
        """True if it has a recording, in the blob store or ready to be stored."""
        return self.safe or self.audio is not None


class UtteranceIngest:
    """Writes utterances from the spool to database and blob store, retrying until it succeeds.

    Args:
        database: The database.
        blobs: Blob store of the recordings.
        writer: Writer of the spools.
        ask_transcript: Queues a durable job that transcribes the utterance with the given id.
        ask_hq: Queues or cancels the HQ rendering of a reply, as its record says.
        ask_analysis: Queues the analysis of a complete utterance.
        broken: Quarantine of utterances that can never be stored.

    Attributes:
        failures: Number of failed attempts.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        writer: SpoolWriter,
        ask_transcript: Callable[[str], Awaitable[None]],
        ask_hq: Callable[[UtteranceRecord], Awaitable[None]],
        ask_analysis: Callable[[UtteranceRecord], Awaitable[None]],
        broken: Broken,
    ) -> None:
        self.failures = 0
        self._database = database
        self._blobs = blobs
        self._writer = writer
        self._ask_transcript = ask_transcript
        self._ask_hq = ask_hq
        self._ask_analysis = ask_analysis
        self._broken = broken
        self._items: set[PendingUtterance] = set()
        self._gate = asyncio.Semaphore(_MAX_CONCURRENCY)
        self._healing = asyncio.Lock()
        self._healed_at = -_HEAL_S
        self._troubled = False
        self._compressing = ThreadPoolExecutor(1, "flac", initializer=_yield_to_live)

    @property
    def unsaved(self) -> int:
        """Number of utterances that are not yet fully stored."""
        return len(self._items)

    def enqueue(self, item: PendingUtterance) -> None:
        """Schedule a write of ``item``, which has changed. Returns at once; on the event loop only."""
        if item.gone:
            return
        item.dirty = True
        if item.task is None:
            self._items.add(item)
            item.task = asyncio.ensure_future(self._work(item))

    async def flush(self, timeout_s: float, items: "set[PendingUtterance] | None" = None) -> bool:
        """Wait until everything (or ``items``) is stored; return False on timeout."""
        tasks = [item.task for item in self._items if item.task and (items is None or item in items)]
        if not tasks:
            return True
        _, pending = await asyncio.wait(tasks, timeout=timeout_s)
        return not pending

    async def forget(self, matches: Callable[[UtteranceRecord], bool]) -> bool:
        """Drop all pending utterances that match, and delete their spools.

        Returns:
            False if a write is still in flight and may arrive later.
        """
        items = [item for item in self._items if matches(item.record)]
        for item in items:
            self.discard(item)
            if item.resting and item.task:
                item.task.cancel()
        # A task in the middle of a write finishes it, sees that the item is gone, and cleans up: a cancelled
        # upload might still arrive.
        tasks = [item.task for item in items if item.task]
        hanging: set[asyncio.Task[None]] = set()
        if tasks:
            _, hanging = await asyncio.wait(tasks, timeout=_FORGET_WAIT_S)
            for task in hanging:
                task.cancel()
        self._items.difference_update(items)
        return not hanging

    def discard(self, item: PendingUtterance) -> None:
        """Drop ``item`` and delete its spool."""
        item.gone = True
        self._writer.post(item.spool.remove)

    async def close(self) -> None:
        """Stop; utterances that are not stored yet stay in their spools."""
        tasks = [item.task for item in self._items if item.task]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        for item in self._items:
            self._save(item)
        await self._writer.barrier()
        await asyncio.to_thread(self._compressing.shutdown)

    async def _work(self, item: PendingUtterance) -> None:
        delay = _FIRST_DELAY_S
        try:
            while item.dirty and not item.gone:
                item.dirty = False
                try:
                    async with self._gate:
                        await self._persist(item)
                except Exception as error:
                    item.dirty = True
                    self.failures += 1
                    if self._never(item, error) and await self._set_aside(item, error):
                        break
                    self._log_failure(error)
                    self._save(item)
                    if item.record.ended and len(self._items) > _ITEMS_MAX:
                        self._writer.post(item.spool.close)
                        break
                    await self._heal()
                    item.resting = True
                    await asyncio.sleep(delay)
                    item.resting = False
                    delay = min(2 * delay, _LONGEST_DELAY_S)
                else:
                    delay = _FIRST_DELAY_S
                    self._log_recovered()
        except asyncio.CancelledError:
            item.task = None
            raise
        item.task = None
        self._items.discard(item)

    async def _persist(self, item: PendingUtterance) -> None:
        record = item.record
        found, trouble = True, None
        try:
            if not record.inserted:
                found = await self._insert(item)
            if found and record.ended and not item.put_away:
                try:
                    await self._store_audio(item)
                except (StoreError, OSError) as error:
                    trouble = error  # the text at least is stored
            found = found and await update_row(self._database, record, item.audio, put_away=item.put_away)
        except IntegrityError:
            found, trouble = False, None  # its session was deleted
        if not found or item.gone:
            self.discard(item)
            if item.recorded:
                await self._blobs.delete([blob_key(record.session, record.id)])
            return
        if trouble is not None:
            raise trouble
        if item.put_away:
            await self._ask(item)
            self._writer.post(item.spool.remove)

    async def _ask(self, item: PendingUtterance) -> None:
        """Queue the jobs of an utterance that is stored."""
        record = item.record
        if item.wants_transcript and record.speaker == "user" and item.recorded:
            await self._unless_never(record, self._ask_transcript(record.id))
            item.wants_transcript = False
        if item.asked_hq != (record.wants_hq and item.recorded):
            await self._unless_never(record, self._ask_hq(record))
            item.asked_hq = record.wants_hq
        # Without a transcript yet: the transcription job queues the analysis.
        words = record.transcript if item.recorded else ""
        if words is not None and item.asked_about != words:
            await self._unless_never(record, self._ask_analysis(record))
            item.asked_about = words

    async def _unless_never(self, record: UtteranceRecord, asking: Awaitable[None]) -> None:
        """Await ``asking``; ignore a permanent failure, as the utterance itself is stored."""
        try:
            await asking
        except IntegrityError:
            pass  # deleted meanwhile
        except Unstorable as error:
            self.failures += 1
            _log.error(
                "utterance %s is stored, but one of its background jobs cannot be queued: %s",
                record.id,
                error,
            )

    async def _insert(self, item: PendingUtterance) -> bool:
        # The record is on disk first: a row is only made for what can be recovered.
        await self._writer.barrier()
        if not await insert_rows(self._database, item.record, item.run, item.client):
            return False
        item.record.inserted = True
        if not item.put_away:
            self._save(item)
        return True

    async def _store_audio(self, item: PendingUtterance) -> None:
        record = item.record
        self._writer.post(item.spool.close)
        await self._writer.barrier()
        if item.audio is None:
            compress = partial(flac.encode, item.spool.pcm, record.sample_rate or ASR_RATE, item.spool.flac)
            item.audio = await asyncio.get_running_loop().run_in_executor(self._compressing, compress)
        if item.gone:
            return
        if item.audio is not None:
            await self._blobs.put(blob_key(record.session, record.id), item.audio.path)
        if record.state == "recording":
            record.state = "stored"
        item.put_away = True

    def _never(self, item: PendingUtterance, error: Exception) -> bool:
        """Return True if the error is permanent, so that retries are pointless."""
        if isinstance(error, StoreError | OSError):
            return isinstance(error, Unstorable)
        item.unforeseen += 1
        return isinstance(error, ValueError | TypeError) or item.unforeseen >= _UNFORESEEN_MAX

    async def _set_aside(self, item: PendingUtterance, error: Exception) -> bool:
        """Quarantine ``item`` with its audio; return False if that is not possible now.

        It is not possible while the utterance is being spoken: its audio is still arriving.
        """
        record = item.record
        if not record.ended:
            return False
        self._save(item)
        self._writer.post(item.spool.close)
        await self._writer.barrier()
        try:
            await asyncio.to_thread(self._broken.take, item.spool.pcm.parent, record.id)
            if record.inserted:
                await empty_row(self._database, record.id)
        except (StoreError, OSError) as trouble:
            _log.error("utterance %s cannot be quarantined: %s", record.id, trouble)
            return False
        why = kind_of(error)
        _log.error(
            "utterance %s of session %s cannot be stored; it was moved to %s with its audio: %s",
            *(record.id, record.session, self._broken.folder, why),
        )
        item.gone = True
        return True

    def _save(self, item: PendingUtterance) -> None:
        if not item.gone:
            self._writer.post(partial(item.spool.save, item.record.model_dump_json().encode()))

    async def _heal(self) -> None:
        """Restart the database if needed, once for all waiting items instead of a thread for each."""
        async with self._healing:
            now = asyncio.get_running_loop().time()
            if now - self._healed_at < _HEAL_S:
                return
            self._healed_at = now
            with suppress(StoreError):
                await self._database.heal()

    def _log_failure(self, error: Exception) -> None:
        if not self._troubled:
            self._troubled = True
            known = isinstance(error, StoreError | OSError)
            why = kind_of(error) if known else f"unexpected error:\n{trace_of(error)}"
            _log.error("utterances wait in the spool: %s", why)

    def _log_recovered(self) -> None:
        if self._troubled:
            self._troubled = False
            _log.warning("utterances are being stored again")


def _yield_to_live() -> None:
    """Lower the priority of the compression thread, so that it does not delay conversations."""
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
