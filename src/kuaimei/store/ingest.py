"""Brings what conversations leave behind into the database and the blobs, whatever it takes.

Nothing here is waited for by a conversation. Each utterance has an `PendingUtterance`; whenever something about
it changes, `UtteranceIngest.enqueue` is told, and a task of its own writes the row, compresses and puts away the
audio once that is complete, and deletes the spool only when both are safe. What fails is tried again,
ever less often, for as long as the process lives, and by the next one from the spool after that.
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
from kuaimei.store.utterance_writer import blob_key, empty_row, insert_rows, update_row
from kuaimei.system.failures import kind_of, trace_of

__all__ = ["PendingUtterance", "UtteranceIngest"]

_log = logging.getLogger(__name__)

_MAX_CONCURRENCY: Final = 3
_FIRST_DELAY_S: Final = 0.25
_LONGEST_DELAY_S: Final = 10.0
_HEAL_S: Final = 1.0
"""So often at most it is looked whether the database runs."""
_FORGET_WAIT_S: Final = 10.0
_ITEMS_MAX: Final = 2000
"""Utterances that may wait in memory while the database is away; the spools of further ones are left
to the next start."""
_UNFORESEEN_MAX: Final = 10
"""So often something is tried again that fails in a way nobody foresaw."""


@dataclass(slots=True, eq=False)
class PendingUtterance:
    """One utterance on its way.

    Attributes:
        run: Id of the run whose row it is.
        client: For the row of its session, should that have to be made.
        wants_transcript: Recognition will not come by itself: a job is to do it.
        asked_hq: A second rendering of the reply has been asked for.
        asked_about: The words with which an analysis has been asked for; None: that has not been done.
        gone: Deleted by its owner, or by somebody else; nothing of it may be written again.
        safe: An earlier process put a recording of it away.
        put_away: Nothing of its sound is left to bring to safety.
        unforeseen: So often it failed in a way nobody foresaw.
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
        """There is a recording of it, in the blobs or ready to go there."""
        return self.safe or self.audio is not None


class UtteranceIngest:
    """See the module.

    Args:
        ask_transcript: Defers a durable job that recognises the utterance of the id given.
        ask_hq: Has a reply rendered a second time, or not after all, as its record says.
        ask_analysis: Has an utterance analysed that is complete.
        broken: Takes what can never be kept.

    Attributes:
        failures: Attempts that failed.
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
        """Utterances of which something is not yet in the database."""
        return len(self._items)

    def enqueue(self, item: PendingUtterance) -> None:
        """Something about ``item`` changed. Returns at once; on the event loop only."""
        if item.gone:
            return
        item.dirty = True
        if item.task is None:
            self._items.add(item)
            item.task = asyncio.ensure_future(self._work(item))

    async def flush(self, timeout_s: float, items: "set[PendingUtterance] | None" = None) -> bool:
        """Wait until everything (or ``items``) is kept; False if that took too long."""
        tasks = [item.task for item in self._items if item.task and (items is None or item in items)]
        if not tasks:
            return True
        _, pending = await asyncio.wait(tasks, timeout=timeout_s)
        return not pending

    async def forget(self, matches: Callable[[UtteranceRecord], bool]) -> bool:
        """Never write again of records that match; their spools go.

        Returns:
            False if something of them is still on its way, and may arrive later.
        """
        items = [item for item in self._items if matches(item.record)]
        for item in items:
            self.discard(item)
            if item.resting and item.task:
                item.task.cancel()
        # What is in the middle of something finishes it, sees that it is gone, and cleans up behind itself:
        # an upload that is cut off may still arrive.
        tasks = [item.task for item in items if item.task]
        hanging: set[asyncio.Task[None]] = set()
        if tasks:
            _, hanging = await asyncio.wait(tasks, timeout=_FORGET_WAIT_S)
            for task in hanging:
                task.cancel()
        self._items.difference_update(items)
        return not hanging

    def discard(self, item: PendingUtterance) -> None:
        """Nothing more of ``item``."""
        item.gone = True
        self._writer.post(item.spool.remove)

    async def close(self) -> None:
        """End; what is not kept yet stays in its spool."""
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
                    trouble = error  # the words at least are brought to safety
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
        """Have done what is to be done with an utterance that is safe."""
        record = item.record
        if item.wants_transcript and record.speaker == "user" and item.recorded:
            await self._unless_never(record, self._ask_transcript(record.id))
            item.wants_transcript = False
        if item.asked_hq != (record.wants_hq and item.recorded):
            await self._unless_never(record, self._ask_hq(record))
            item.asked_hq = record.wants_hq
        # What is said without being understood yet is asked about by whoever brings the words.
        words = record.transcript if item.recorded else ""
        if words is not None and item.asked_about != words:
            await self._unless_never(record, self._ask_analysis(record))
            item.asked_about = words

    async def _unless_never(self, record: UtteranceRecord, asking: Awaitable[None]) -> None:
        """What is asked for can never be done: then it is not, and what was said is safe all the same."""
        try:
            await asking
        except IntegrityError:
            pass  # deleted meanwhile
        except Unstorable as error:
            self.failures += 1
            _log.error("of utterance %s is kept what was said, and no more: %s", record.id, error)

    async def _insert(self, item: PendingUtterance) -> bool:
        # Its record is on disk first: a row is only made for what can be recovered.
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
        """Whether there is no sense in trying again."""
        if isinstance(error, StoreError | OSError):
            return isinstance(error, Unstorable)
        item.unforeseen += 1
        return isinstance(error, ValueError | TypeError) or item.unforeseen >= _UNFORESEEN_MAX

    async def _set_aside(self, item: PendingUtterance, error: Exception) -> bool:
        """Put ``item`` where it is in nobody's way, with its sound; False: that is not possible now.

        As long as it is being said it is not put anywhere: its sound is still coming.
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
            _log.error("utterance %s cannot be put aside: %s", record.id, trouble)
            return False
        why = kind_of(error)
        _log.error(
            "utterance %s of session %s can never be kept and lies in %s now, with its sound: %s",
            *(record.id, record.session, self._broken.folder, why),
        )
        item.gone = True
        return True

    def _save(self, item: PendingUtterance) -> None:
        if not item.gone:
            self._writer.post(partial(item.spool.save, item.record.model_dump_json().encode()))

    async def _heal(self) -> None:
        """For all that wait: each of thousands would else take a thread to look for itself."""
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
            why = kind_of(error) if known else f"it fails in a way it should not:\n{trace_of(error)}"
            _log.error("what was said waits in its spool: %s", why)

    def _log_recovered(self) -> None:
        if self._troubled:
            self._troubled = False
            _log.warning("what was said is being kept again")


def _yield_to_live() -> None:
    """Compressing can wait; whoever is talking cannot."""
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
