"""Library of cloned voices: add, list, change, train and delete them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from kuaimei.engines.types import Language
from kuaimei.errors import Conflict, KuaimeiError, NotAllowed, NotFound
from kuaimei.store.ids import new_id
from kuaimei.store.jobs import Job
from kuaimei.store.voices import JUDGE, REFERENCE, VoiceRow
from kuaimei.voices.context import VoiceContext, delete_job_folder
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.maintenance import LEARN, PREPARE, PRIORITY_SOON, VoiceMaintenance
from kuaimei.voices.registration import needs_training, register_voice
from kuaimei.voices.serialization import encode_flac
from kuaimei.voices.state import (
    STEPS,
    TRAINING_STATES,
    TrainingRecord,
    next_step,
    training_record_of,
    voice_from_row,
)
from kuaimei.voices.training.job import train
from kuaimei.voices.types import Consent, Step, Voice

__all__ = ["VoiceLibrary", "open_library"]


class VoiceLibrary:
    """Cloned voices of the server. Open with `open_library`; use on the event loop only."""

    def __init__(self, context: VoiceContext) -> None:
        self.context = context
        self.maintenance = VoiceMaintenance(context)

    # Listing.

    async def voices(self, owner: str) -> Sequence[Voice]:
        """Return the owner's voices and those that other users share, newest first.

        Raises:
                StoreError: If the database is unavailable.
        """
        rows = await self.context.store.voices.all(owner, shared=True)
        similarity, environment = (
            self.context.settings.voices.cloned_similarity,
            self.context.environment.state,
        )
        return [voice_from_row(row, similarity, environment) for row in rows]

    async def voice(self, voice: str, owner: str) -> Voice:
        """Return one voice.

        Raises:
            NotFound: If there is none, or it belongs to another user and is not shared: its existence is not
                revealed.
            StoreError: If the database is unavailable.
        """
        return self._voice(await self._visible(voice, owner))

    def may_use(self, voice: str, person: str) -> bool:
        """Return True if the person may speak in the cloned voice; answers without I/O."""
        return self.maintenance.may_use(voice, person)

    async def reference(self, voice: str, owner: str) -> bytes:
        """Return the part of the recording that the voice was made from, as FLAC.

        Raises:
            NotFound: If there is no such voice.
                NotAllowed: If the voice is shared by another user.
            StoreError: If it cannot be read.
        """
        await self._owned(voice, owner)
        return await self.context.store.voices.file(voice, REFERENCE)

    # Adding and changing.

    async def add(
        self,
        file: Path | bytes | BinaryIO,
        *,
        name: str,
        consent: Consent,
        owner: str,
        transcript: str = "",
        language: Language | None = None,
        strict: bool = True,
    ) -> Voice:
        """Add a voice from the audio ``file``; preparing it continues after this returns.

        Args:
            file: Reference recording, in any format that can be decoded.
            name: Display name of the voice.
            consent: The speaker's consent to being cloned.
            owner: Id of the person that the voice belongs to.
            transcript: What is said in the recording; empty: it is transcribed.
            language: Language of the recording; None: it is detected.
            strict: Passed to `ReferenceExaminer.examine`.

        Raises:
            AudioError: If the file cannot be decoded.
            ReferenceRefused: If a check refuses the recording. Nothing is stored.
            Conflict: If the limit of voices is reached, counted over all users.
            KuaimeiError: If a required service is unavailable.
        """
        shelf, settings = self.context.store.voices, self.context.settings.voices
        if len(await shelf.all()) >= settings.max_voices:
            raise Conflict(f"there are already {settings.max_voices} voices; delete one first")
        found = await self.context.examiner.examine(
            file, transcript=transcript, language=language, strict=strict
        )
        reference = await asyncio.to_thread(encode_flac, found.pcm)
        judge = await asyncio.to_thread(encode_flac, found.judge) if len(found.judge) else None
        voice = new_id("voice")
        row = await shelf.add(
            voice,
            owner=owner,
            name=name,
            language=found.language,
            state="preparing",
            stage="listening",
            transcript=found.transcript,
            duration_s=round(len(found.pcm) / RATE, 3),
            checks=[check.model_dump(mode="json") for check in found.checks],
            pitch=None if found.pitch is None else found.pitch.model_dump(mode="json"),
            consent=consent.model_dump(mode="json"),
            learning=TrainingRecord().model_dump(mode="json"),
        )
        self.maintenance.permit(row)
        try:
            await shelf.put_file(voice, REFERENCE, reference)
            if judge is not None:
                await shelf.put_file(voice, JUDGE, judge)
            await self.context.store.defer(PREPARE, voice, priority=PRIORITY_SOON)
        except BaseException:
            with suppress(KuaimeiError):
                await self.maintenance.delete(voice)
            raise
        return self._voice(row)

    async def change(
        self,
        voice: str,
        owner: str,
        *,
        name: str | None = None,
        transcript: str | None = None,
        shared: bool | None = None,
    ) -> Voice:
        """Rename the voice, correct the transcript of its reference, or (un)share it; None: unchanged.

        Args:
            voice: Id of the voice.
            owner: Id of the person who changes it; must own it.
            name: New display name.
            transcript: What is said in the reference.
            shared: Whether all users may speak in the voice.

        Raises:
            NotFound: If there is no such voice.
            NotAllowed: If the voice is shared by another user.
            StoreError: If the database is unavailable.
        """
        row = await self._owned(voice, owner)
        given = {"name": name, "transcript": transcript, "shared": shared}
        columns: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if "transcript" in columns and training_record_of(row).state not in TRAINING_STATES:
            # The checkpoints were made with the old transcript.
            await delete_job_folder(self.context.job_folder(voice))
        if not columns:
            return self._voice(row)
        row = await self.context.store.voices.change(voice, **columns)
        self.maintenance.permit(row)
        if "transcript" in columns and row.state == "ready" and not needs_training(self.context.synthesizer):
            await register_voice(self.context.synthesizer, self.context.store.voices, row)
        return self._voice(row)

    # Training.

    async def train(self, voice: str, owner: str, step: Step | None = None) -> Voice:
        """Train the voice up to ``step``, or as far as the settings say; a running training continues.

        A step that has been reached before is trained again if it is named.

        Args:
            voice: Id of the voice.
            owner: Id of the person who starts the training; must own the voice.
            step: Last step to train; None: as configured.

        Raises:
            NotFound: If there is no such voice.
            NotAllowed: If the voice is shared by another user.
            Conflict: If the voice is not ready, or is fully trained already.
        """
        row = await self._owned(voice, owner)
        if row.state != "ready":
            raise Conflict(f"the voice is {row.state}; only a voice that is ready can be trained")
        course = training_record_of(row)
        if course.state in TRAINING_STATES:
            return self._voice(row)
        configured = self.context.settings.voices.learn
        target: Step = step or ("decoder" if configured == "none" else configured)
        if target == "predicted":
            raise Conflict("this step needs no training; the steps are style and decoder")
        done = STEPS.index(course.reached)
        if step is None and done >= STEPS.index(target):
            raise Conflict("the voice has already been trained; name a step to train it again")
        first = next_step(course.reached) if done < STEPS.index(target) else target
        course = TrainingRecord(step=first, state="waiting", target=target, reached=course.reached)
        if hindrance := self.context.unavailable_reason():
            course = course.model_copy(update={"state": "unavailable", "error": hindrance})
        row = await self.context.store.voices.change(voice, learning=course.model_dump(mode="json"))
        if course.state == "waiting":
            await self.context.store.defer(LEARN, voice)
        return self._voice(row)

    async def cancel_training(self, voice: str, owner: str) -> Voice:
        """Cancel the training; the checkpoints of the current step are kept to resume from.

        Raises:
            NotFound: If there is no such voice.
            NotAllowed: If the voice is shared by another user.
            StoreError: If the database is unavailable.
        """
        row = await self._owned(voice, owner)
        if training_record_of(row).state not in TRAINING_STATES:
            return self._voice(row)
        await self.context.store.cancel_job(LEARN, voice)
        course = training_record_of(await self._owned(voice, owner))
        if course.state in TRAINING_STATES:
            course = course.model_copy(update={"state": "cancelled", "eta_s": None})
            row = await self.context.store.voices.change(voice, learning=course.model_dump(mode="json"))
        return self._voice(row)

    # Deleting.

    async def delete(self, voice: str, owner: str) -> bool:
        """Delete the voice and everything derived from it; running jobs are cancelled.

        Replies that were spoken in it keep their text and lose their audio.

        Returns:
            True if nothing is left; False if the voice is inaccessible and the rest is being deleted.

        Raises:
            NotFound: If there is no such voice, and none is being deleted.
            NotAllowed: If the voice is shared by another user.
            StoreError: If the database is unavailable: nothing is deleted then.
        """
        going_on = await self.context.store.deletion("voice", voice)
        if going_on is None or going_on.owner != owner:
            await self._owned(voice, owner)
        return await self.maintenance.delete(voice)

    # Background work.

    @property
    def jobs(self) -> Mapping[str, Job]:
        """Job handlers for `kuaimei.store.Store.run_jobs`; those in `dedicated_jobs` take long."""
        return {PREPARE: self.maintenance.run_prepare_job, LEARN: partial(train, self.context)}

    @property
    def dedicated_jobs(self) -> tuple[str, ...]:
        """Names of jobs that get a worker of their own, so that they delay no other job."""
        return (PREPARE, LEARN)

    async def _visible(self, voice: str, owner: str) -> VoiceRow:
        row = await self.context.store.voices.get(voice)
        if row.owner != owner and not row.shared:
            raise NotFound(f"there is no voice {voice[:80]}")
        return row

    async def _owned(self, voice: str, owner: str) -> VoiceRow:
        row = await self._visible(voice, owner)
        if row.owner != owner:
            raise NotAllowed(
                "another user shares this voice: only they may change it or listen to its recording"
            )
        return row

    def _voice(self, row: VoiceRow) -> Voice:
        return voice_from_row(
            row, self.context.settings.voices.cloned_similarity, self.context.environment.state
        )


@asynccontextmanager
async def open_library(context: VoiceContext) -> AsyncIterator[VoiceLibrary]:
    """Open the library with all voices registered; run `VoiceMaintenance.run` while it is open.

    Raises:
        StoreError: If the database is unavailable.
    """
    library = VoiceLibrary(context)
    await library.maintenance.expire()
    await library.maintenance.restore()
    yield library
