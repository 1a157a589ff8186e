"""The cloned voices of the server: added, listed, changed, learned, deleted."""

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
from kuaimei.voices.state import STEPS, TRAINING_STATES, TrainingRecord, course_of, next_step, voice_from_row
from kuaimei.voices.training.job import train
from kuaimei.voices.types import Consent, Step, Voice

__all__ = ["VoiceLibrary", "open_library"]


class VoiceLibrary:
    """Open by `open_library`; used on the event loop only."""

    def __init__(self, context: VoiceContext) -> None:
        self.context = context
        self.maintenance = VoiceMaintenance(context)

    # What there is.

    async def voices(self, owner: str) -> Sequence[Voice]:
        """All of this owner's and those that others share with all, the newest first.

        Raises:
            StoreError: If the database is away.
        """
        rows = await self.context.store.voices.all(owner, shared=True)
        similarity, environment = (
            self.context.settings.voices.cloned_similarity,
            self.context.environment.state,
        )
        return [voice_from_row(row, similarity, environment) for row in rows]

    async def voice(self, voice: str, owner: str) -> Voice:
        """One of them.

        Raises:
            NotFound: If there is none, or it is somebody else's and not shared: that it exists is nobody's
                business.
            StoreError: If the database is away.
        """
        return self._voice(await self._visible(voice, owner))

    def may_use(self, voice: str, person: str) -> bool:
        """Whether the person may speak in the cloned voice; answers at once."""
        return self.maintenance.may_use(voice, person)

    async def reference(self, voice: str, owner: str) -> bytes:
        """The part of the recording that the voice was made of, as FLAC.

        Raises:
            NotFound: If there is no such voice.
            NotAllowed: If somebody else shares it.
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
        """A new voice from the audio ``file``; it is being prepared when this returns.

        Raises:
            AudioError: If the file cannot be decoded.
            ReferenceRefused: If a check refuses it. Nothing is kept.
            Conflict: If there are as many voices as are allowed, everybody's counted.
            KuaimeiError: If something needed is away.
        """
        shelf, settings = self.context.store.voices, self.context.settings.voices
        if len(await shelf.all()) >= settings.max_voices:
            raise Conflict(f"there are {settings.max_voices} voices already; delete one first")
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
        """Rename it, correct what is said in its reference, share it with all or not; None: as it is.

        Raises:
            NotFound: If there is no such voice.
            NotAllowed: If somebody else shares it.
            StoreError: If the database is away.
        """
        row = await self._owned(voice, owner)
        given = {"name": name, "transcript": transcript, "shared": shared}
        columns: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if "transcript" in columns and course_of(row).state not in TRAINING_STATES:
            # What lies ready to go on from was made with the text as it was.
            await delete_job_folder(self.context.job_folder(voice))
        if not columns:
            return self._voice(row)
        row = await self.context.store.voices.change(voice, **columns)
        self.maintenance.permit(row)
        if "transcript" in columns and row.state == "ready" and not needs_training(self.context.synthesizer):
            await register_voice(self.context.synthesizer, self.context.store.voices, row)
        return self._voice(row)

    # Learning.

    async def train(self, voice: str, owner: str, step: Step | None = None) -> Voice:
        """Learn the voice further: up to ``step``, or as far as the settings say. What runs goes on.

        A step that was reached before is learned again if it is named.

        Raises:
            NotFound: If there is no such voice.
            NotAllowed: If somebody else shares it.
            Conflict: If it is not ready, or all of it is learned already.
        """
        row = await self._owned(voice, owner)
        if row.state != "ready":
            raise Conflict(f"the voice is {row.state}; only one that is ready can be learned")
        course = course_of(row)
        if course.state in TRAINING_STATES:
            return self._voice(row)
        configured = self.context.settings.voices.learn
        target: Step = step or ("decoder" if configured == "none" else configured)
        if target == "predicted":
            raise Conflict("there is nothing to learn of that; the steps are style and decoder")
        done = STEPS.index(course.reached)
        if step is None and done >= STEPS.index(target):
            raise Conflict("the voice has been learned; name a step to learn it again")
        first = next_step(course.reached) if done < STEPS.index(target) else target
        course = TrainingRecord(step=first, state="waiting", target=target, reached=course.reached)
        if hindrance := self.context.unavailable_reason():
            course = course.model_copy(update={"state": "unavailable", "error": hindrance})
        row = await self.context.store.voices.change(voice, learning=course.model_dump(mode="json"))
        if course.state == "waiting":
            await self.context.store.defer(LEARN, voice)
        return self._voice(row)

    async def cancel_training(self, voice: str, owner: str) -> Voice:
        """Stop; what was learned so far of the step is kept, to go on from.

        Raises:
            NotFound: If there is no such voice.
            NotAllowed: If somebody else shares it.
            StoreError: If the database is away.
        """
        row = await self._owned(voice, owner)
        if course_of(row).state not in TRAINING_STATES:
            return self._voice(row)
        await self.context.store.cancel_job(LEARN, voice)
        course = course_of(await self._owned(voice, owner))
        if course.state in TRAINING_STATES:
            course = course.model_copy(update={"state": "cancelled", "eta_s": None})
            row = await self.context.store.voices.change(voice, learning=course.model_dump(mode="json"))
        return self._voice(row)

    # Deleting.

    async def delete(self, voice: str, owner: str) -> bool:
        """Delete the voice and everything derived from it, whatever is being done with it.

        Replies that were spoken in it keep their words and lose their sound.

        Returns:
            True: nothing is left of it. False: nobody finds it any more, and what is left is worked on.

        Raises:
            NotFound: If there is no such voice, and none is being deleted.
            NotAllowed: If somebody else shares it.
            StoreError: If the database is away: nothing is deleted then.
        """
        going_on = await self.context.store.deletion("voice", voice)
        if going_on is None or going_on.owner != owner:
            await self._owned(voice, owner)
        return await self.maintenance.delete(voice)

    # What goes on by itself.

    @property
    def jobs(self) -> Mapping[str, Job]:
        """For `kuaimei.store.Store.run_jobs`; those in `dedicated_jobs` take long."""
        return {PREPARE: self.maintenance.run_prepare_job, LEARN: partial(train, self.context)}

    @property
    def dedicated_jobs(self) -> tuple[str, ...]:
        """Nobody waits behind these."""
        return (PREPARE, LEARN)

    async def _visible(self, voice: str, owner: str) -> VoiceRow:
        row = await self.context.store.voices.get(voice)
        if row.owner != owner and not row.shared:
            raise NotFound(f"no voice {voice[:80]} is kept")
        return row

    async def _owned(self, voice: str, owner: str) -> VoiceRow:
        row = await self._visible(voice, owner)
        if row.owner != owner:
            raise NotAllowed("somebody else shares this voice: only they may change it or hear its recording")
        return row

    def _voice(self, row: VoiceRow) -> Voice:
        return voice_from_row(
            row, self.context.settings.voices.cloned_similarity, self.context.environment.state
        )


@asynccontextmanager
async def open_library(context: VoiceContext) -> AsyncIterator[VoiceLibrary]:
    """The library, with all its voices in the synthesiser; somebody has to run `VoiceMaintenance.tend` meanwhile.

    Raises:
        StoreError: If the database is away.
    """
    library = VoiceLibrary(context)
    await library.maintenance.expire()
    await library.maintenance.restore()
    yield library
