"""Voice maintenance: restores voices after a start, syncs them with the database, deletes old ones."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from kuaimei.errors import KuaimeiError, NotFound, StoreError
from kuaimei.store.voices import VoiceRow
from kuaimei.system.failures import trace_of
from kuaimei.voices.context import VoiceContext
from kuaimei.voices.registration import register_voice, unregister_voice
from kuaimei.voices.state import TRAINING_STATES, training_record_of
from kuaimei.voices.styles.prepare_job import prepare

__all__ = ["LEARN", "PREPARE", "PRIORITY_SOON", "VoiceMaintenance"]

_log = logging.getLogger(__name__)

PREPARE: Final = "prepare_voice"
LEARN: Final = "learn_voice"
"""Names of the durable jobs; their subject is a voice id."""
PRIORITY_SOON: Final = 5
"""Job priority while a user waits for the voice."""
_SWEEP_INTERVAL_S: Final = 60.0


class VoiceMaintenance:
    """Keeps the synthesizer's voices in sync with the database."""

    def __init__(self, context: VoiceContext) -> None:
        self.context = context
        self._put: set[str] = set()
        self._rights: dict[str, VoiceRow] = {}
        self._changes = 0

    def permit(self, row: VoiceRow) -> None:
        """Update the cached owner and sharing of the voice; withdraw it if it is no longer shared."""
        self._changes += 1
        before = self._rights.get(row.id)
        self._rights[row.id] = row
        if before is not None and before.shared and not row.shared:
            self.context.withdraw(row.id)

    def may_use(self, voice: str, person: str) -> bool:
        """Return True if the person may speak in the cloned voice; False for an unknown voice."""
        row = self._rights.get(voice)
        return row is not None and (row.shared or row.owner == person)

    async def run_prepare_job(self, voice: str) -> None:
        """Run the job that prepares a new voice, then enqueue its training."""
        row = await prepare(self.context, voice)
        if row is not None:
            self._put.add(voice)
            self.permit(row)
            if training_record_of(row).state == "waiting":
                await self.context.store.defer(LEARN, voice)

    async def restore(self) -> None:
        """Register all stored voices and resume unfinished jobs.

        Raises:
            StoreError: If the database is unavailable.
        """
        for row in await self.context.store.voices.all():
            try:
                await self._restore(row)
            except (StoreError, asyncio.CancelledError):
                raise
            except Exception as error:  # an unreadable voice must block neither the others nor the start
                _log.error("the voice %s cannot be restored:\n%s", row.id, trace_of(error))

    async def take_up(self) -> None:
        """Enqueue training of the voices that waited for the environment or were unavailable without it.

        Raises:
            StoreError: If the database is unavailable.
        """
        for row in await self.context.store.voices.all():
            if row.state == "ready":
                await self._learn(row)

    async def _restore(self, row: VoiceRow) -> None:
        if row.state == "preparing":
            await self.context.store.defer(PREPARE, row.id, priority=PRIORITY_SOON)
        if row.state != "ready":
            return
        await self._take(row)
        await self._learn(row)

    async def _learn(self, row: VoiceRow) -> None:
        """Enqueue training if the voice has some left and nothing prevents it any more."""
        course = training_record_of(row)
        wanted = course.state == "unavailable" and not self.context.unavailable_reason()
        if wanted or course.state in TRAINING_STATES:
            step = "style" if course.step == "predicted" else course.step
            course = course.model_copy(update={"state": "waiting", "step": step, "error": None})
            if wanted:
                course = course.model_copy(update={"progress": 0.0})
            with suppress(NotFound):
                await self.context.store.voices.change(row.id, learning=course.model_dump(mode="json"))
                await self.context.store.defer(LEARN, row.id)

    async def _take(self, row: VoiceRow) -> None:
        """Register the voice with the synthesizer."""
        try:
            await register_voice(self.context.synthesizer, self.context.store.voices, row)
            self._put.add(row.id)
            self.permit(row)
        except NotFound:  # it was prepared for a synthesizer that needs fewer files
            with suppress(NotFound):
                await self.context.store.voices.change(row.id, state="preparing")
                await self.context.store.defer(PREPARE, row.id, priority=PRIORITY_SOON)
        except KuaimeiError as error:
            _log.warning("the voice %s cannot be used: %s", row.name, error)

    async def run(self) -> None:
        """Delete expired voices and sync with other processes' changes, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL_S)
            try:
                await self.expire()
                await self.sync_registrations()
            except KuaimeiError as error:
                _log.warning("maintenance of the voices failed, trying again later: %s", error)

    async def expire(self) -> int:
        """Delete voices older than the retention period; return how many.

        Raises:
            StoreError: If the database is unavailable.
        """
        store, days = self.context.store, self.context.settings.voices.retention_days
        if not days:
            return 0
        rows = await store.voices.all()
        before = await store.maintenance.retention.now() - timedelta(days=days)
        old = [row.id for row in rows if row.created_at < before]
        released = await store.maintenance.retention.release("voices", old, len(rows))
        for voice in released:
            with suppress(NotFound):  # deleted meanwhile
                await self.delete(voice)
        return len(released)

    async def sync_registrations(self) -> None:
        """Register stored voices that are ready, unregister all others, and update the access rights.

        Raises:
            StoreError: If the database is unavailable.
        """
        rows = await self._current()
        for row in rows:
            self.permit(row)
        ready = {row.id: row for row in rows if row.state == "ready"}
        for voice in self._put - ready.keys():
            self._forget(voice)
        for voice in ready.keys() - self._put:
            await self._take(ready[voice])

    async def _current(self) -> Sequence[VoiceRow]:
        """Read all rows, repeating if one changed here meanwhile: stale rows must not grant access."""
        while True:
            before = self._changes
            rows = await self.context.store.voices.all()
            if before == self._changes:
                return rows

    async def delete(self, voice: str) -> bool:
        """Delete the voice and everything derived from it; running jobs are cancelled.

        Returns:
            True if nothing is left; False if the voice is inaccessible and the rest is being deleted.

        Raises:
            NotFound: If the voice does not exist.
            StoreError: If the database is unavailable: nothing is deleted then.
        """
        done = await self.context.store.delete_voice(voice)
        self._forget(voice)
        return done

    def _forget(self, voice: str) -> None:
        self._put.discard(voice)
        self._rights.pop(voice, None)
        self.context.withdraw(voice)
        unregister_voice(self.context.synthesizer, voice)
        self.context.notify_changed(voice)
