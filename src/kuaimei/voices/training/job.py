"""The durable job that learns a voice, step by step; it may be cut off anywhere and goes on from there."""

import asyncio
import logging
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.executor import compute
from kuaimei.engines.protocols import VoiceBank
from kuaimei.engines.types import Language, as_language
from kuaimei.errors import KuaimeiError, NotFound, StoreError
from kuaimei.store.voices import DECODER, REFERENCE, STYLE, VoiceRow
from kuaimei.system.threads import to_the_end
from kuaimei.text.wellformed import to_well_formed
from kuaimei.voices.context import TICKET, Workroom, delete_job_folder
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.registration import drop
from kuaimei.voices.serialization import read_flac, read_style, style_bytes
from kuaimei.voices.state import LEARNING, Course, course_of, next_step, pitch_of
from kuaimei.voices.styles.initial import start_of_learning
from kuaimei.voices.training.process import Learned, LearnerDied, LearningFailed, Progress, run_learner
from kuaimei.voices.training.similarity import likeness
from kuaimei.voices.training.spec import lay_out, order
from kuaimei.voices.types import Step

__all__ = ["learn"]

_log = logging.getLogger(__name__)

_DEATHS: Final = 3
"""So often a step is begun again from its checkpoint before it is given up."""
_ERROR_MAX: Final = 500
"""Characters of what the process says went wrong."""
_TELL_S: Final = 1.0
"""The row is written at most so often."""
_LOSS: Final = "campplus"
_DECODER_S: Final = 4.0
"""Of a reference that a decoder is learned from. From 2.5 s it became no more like, and was misheard: 16 % of
the characters, against 7 % in a stock voice."""


async def learn(room: Workroom, voice: str) -> None:
    """Do all that is still to be learned of the voice; nothing if it is gone, or was cancelled.

    Raises:
        KuaimeiError: If something was away that may come back.
    """
    shelf = room.store.voices
    try:
        while True:
            row = await shelf.get(voice)
            course = course_of(row)
            if row.state != "ready" or course.state not in LEARNING:
                return
            if hindrance := room.hindrance():
                await _note(room, voice, course, state="unavailable", error=hindrance, eta_s=None)
                return
            if room.environment.python() is None:
                return  # it is taken up when that has come
            await room.quiet.wait()
            try:
                learned = await _step(room, row, course)
                course = await _keep(room, row, course, learned)
            except (LearningFailed, LearnerDied) as error:
                _log.warning("learning the voice %s failed: %s", voice, error)
                told = to_well_formed(str(error))[:_ERROR_MAX]
                await _note(room, voice, course, state="failed", error=told, eta_s=None)
                await delete_job_folder(room.job_folder(voice))
                return
            if course.state == "done":
                return
    except NotFound:  # deleted meanwhile
        drop(room.synthesizer, voice)
        await delete_job_folder(room.job_folder(voice))


async def _step(room: Workroom, row: VoiceRow, course: Course) -> Learned:
    folder = room.job_folder(row.id) / course.step
    await _lay_out(room, row, course.step, folder)
    python = room.environment.python()
    if python is None:
        raise LearningFailed(room.environment.state.detail)
    teller = _Teller(room, row.id, course.model_copy(update={"state": "running", "error": None}))
    try:
        for deaths in range(1, _DEATHS + 1):
            try:
                return await run_learner(
                    folder,
                    python,
                    room.quiet,
                    threads=room.settings.voices.threads,
                    progress=teller.progress,
                    held=teller.held,
                )
            except LearnerDied as error:
                if deaths == _DEATHS:
                    raise
                _log.warning("learning the voice %s goes on from its checkpoint: %s", row.id, error)
        raise AssertionError  # the loop returns or raises
    finally:
        await teller.close()


async def _lay_out(room: Workroom, row: VoiceRow, step: Step, folder: Path) -> None:
    """Write what the process is given, unless it lies there already: then its checkpoints do, too."""
    if await asyncio.to_thread((folder / "job.json").is_file):
        return
    shelf, bank = room.store.voices, room.bank
    if bank is None or room.weights is None:
        raise LearningFailed(room.hindrance())
    if step == "decoder" and row.duration_s < _DECODER_S:
        raise LearningFailed(
            f"a decoder is learned from {_DECODER_S:.0f} s of speech or more, and the reference has "
            f"{row.duration_s:.1f} s: record more of the voice, or stay with its style"
        )
    language = as_language(row.language) or "zh"
    if step == "decoder" and not row.transcript:
        raise LearningFailed("the decoder cannot be learned before the transcript of the reference is known")
    write_order = partial(
        order,
        step,
        language,
        row.transcript or "",
        bank.tokens,
        weights=room.weights,
        encoders=room.losses(),
        hears=room.listener,
        settings=room.settings.voices,
    )
    given = await compute(room.cores, TICKET, 1, write_order)
    pcm = await asyncio.to_thread(read_flac, await shelf.file(row.id, REFERENCE))
    if step == "style":
        style = style_bytes(await _start(room, bank, row, pcm, language))
    else:
        style = await shelf.file(row.id, STYLE)
    await to_the_end(lay_out, folder, given, pcm, style)


async def _start(
    room: Workroom, bank: VoiceBank, row: VoiceRow, pcm: Pcm, language: Language
) -> NDArray[np.float32]:
    """Where the style is learned from."""
    heard = {encoder.name: embedding for encoder, embedding in await room.heard(pcm, RATE)}
    return start_of_learning(bank.stock, heard.get("ge2e"), pitch_of(row), language, heard.get("campplus"))


async def _keep(room: Workroom, row: VoiceRow, course: Course, learned: Learned) -> Course:
    """Speak as was learned from now on, and note how like it is."""
    shelf = room.store.voices
    try:
        style = read_style(await asyncio.to_thread(learned.style.read_bytes))
        decoder = None if learned.decoder is None else await asyncio.to_thread(learned.decoder.read_bytes)
    except (OSError, StoreError) as error:
        raise LearningFailed(f"what was learned cannot be read: {error}") from error
    if decoder is None:
        # A decoder belongs to the style that it was learned with.
        await shelf.drop_file(row.id, DECODER)
    else:
        await shelf.put_file(row.id, DECODER, decoder)
    await shelf.put_file(row.id, STYLE, style_bytes(style))
    if room.bank is not None:
        room.bank.put_voice(row.id, style)
    room.tell(row.id)
    measured = None
    try:
        measured = await likeness(room, row, hq=decoder is not None)
    except NotFound:
        raise  # deleted meanwhile
    except KuaimeiError as error:  # it has been learned all the same
        _log.warning("how like %s is cannot be measured: %s", row.id, error)
    if measured is None:
        measured = learned.similarity.get(_LOSS)
    step = course.step
    done = step == course.target or step == "decoder" or row.duration_s < _DECODER_S
    course = course.model_copy(
        update={
            "step": step if done else next_step(step),
            "state": "done" if done else "waiting",
            "progress": 1.0 if done else 0.0,
            "similarity": _bounded(measured),
            "eta_s": None,
            "error": None,
            "reached": step,
        }
    )
    similarity = _bounded(measured)
    await shelf.change(row.id, learning=course.model_dump(mode="json"), similarity=similarity)
    await delete_job_folder(room.job_folder(row.id) / step)
    return course


async def _note(room: Workroom, voice: str, course: Course, **changed: Any) -> None:
    changed_course = course.model_copy(update=changed)
    await room.store.voices.change(voice, learning=changed_course.model_dump(mode="json"))


def _bounded(cosine: float | None) -> float | None:
    return None if cosine is None else round(float(np.clip(cosine, 0.0, 1.0)), 4)


class _Teller:
    """Writes the latest news into the row, at most once a second."""

    def __init__(self, room: Workroom, voice: str, course: Course) -> None:
        self._room = room
        self._voice = voice
        self._course = course
        self._news = asyncio.Event()
        self._news.set()
        self._over = asyncio.Event()
        self._telling = asyncio.ensure_future(self._tell())

    def progress(self, news: Progress) -> None:
        """How far it is."""
        similarity = _bounded(news.similarity.get(_LOSS))
        self._change(progress=news.fraction, eta_s=news.eta_s, similarity=similarity)

    def held(self, held: bool) -> None:
        """It is stopped, or goes on."""
        self._change(state="paused" if held else "running")

    def _change(self, **changed: Any) -> None:
        self._course = self._course.model_copy(update=changed)
        self._news.set()

    async def close(self) -> None:
        """Nothing is written any more when this returns."""
        self._over.set()
        self._news.set()
        await asyncio.gather(self._telling, return_exceptions=True)

    async def _tell(self) -> None:
        with suppress(NotFound):
            while True:
                await self._news.wait()
                if self._over.is_set():
                    return
                self._news.clear()
                try:
                    await _note(self._room, self._voice, self._course)
                except NotFound:
                    raise
                except KuaimeiError as error:  # the database is away: what comes next is news enough
                    _log.warning("how far learning %s is cannot be noted: %s", self._voice, error)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TELL_S):
                        await self._over.wait()
