"""Durable job that trains a voice step by step; may be interrupted anywhere and resumes from there."""

import asyncio
import logging
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.executor import run_on_cores
from kuaimei.engines.protocols import StyleVoiceBank
from kuaimei.engines.types import Language, as_language
from kuaimei.errors import KuaimeiError, NotFound, StoreError
from kuaimei.store.voices import DECODER, REFERENCE, STYLE, VoiceRow
from kuaimei.system.threads import to_the_end
from kuaimei.text.wellformed import to_well_formed
from kuaimei.voices.context import BACKGROUND_TICKET, VoiceContext, delete_job_folder
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.registration import unregister_voice
from kuaimei.voices.serialization import read_flac, read_style, style_bytes
from kuaimei.voices.state import TRAINING_STATES, TrainingRecord, next_step, pitch_of, training_record_of
from kuaimei.voices.styles.initial import initial_style
from kuaimei.voices.training.process import (
    TrainingCrashed,
    TrainingFailed,
    TrainingProgress,
    TrainingResult,
    run_training_process,
)
from kuaimei.voices.training.similarity import speaker_similarity
from kuaimei.voices.training.spec import build_job_spec, write_job_folder
from kuaimei.voices.types import Step

__all__ = ["train"]

_log = logging.getLogger(__name__)

_MAX_CRASHES: Final = 3
"""Number of crashes of a step, each resumed from its checkpoint, after which it fails."""
_ERROR_MAX: Final = 500
"""Maximum characters of the error message in the voice row."""
_UPDATE_INTERVAL_S: Final = 1.0
"""Minimum interval between writes of the voice row."""
_LOSS: Final = "campplus"
_DECODER_S: Final = 4.0
"""Minimum seconds of reference for training a decoder. With 2.5 s similarity did not improve, and 16 % of the
characters were misheard, against 7 % in a stock voice."""


async def train(context: VoiceContext, voice: str) -> None:
    """Run all remaining training steps of the voice; do nothing if it was deleted or cancelled.

    Raises:
        KuaimeiError: If something was temporarily unavailable.
    """
    shelf = context.store.voices
    try:
        while True:
            row = await shelf.get(voice)
            course = training_record_of(row)
            if row.state != "ready" or course.state not in TRAINING_STATES:
                return
            if hindrance := context.unavailable_reason():
                await _update_state(context, voice, course, state="unavailable", error=hindrance, eta_s=None)
                return
            if context.environment.python() is None:
                return  # training is enqueued again once the environment is installed
            await context.idle_monitor.wait()
            try:
                learned = await _step(context, row, course)
                course = await _store_results(context, row, course, learned)
            except (TrainingFailed, TrainingCrashed) as error:
                _log.warning("training of the voice %s failed: %s", voice, error)
                told = to_well_formed(str(error))[:_ERROR_MAX]
                await _update_state(context, voice, course, state="failed", error=told, eta_s=None)
                await delete_job_folder(context.job_folder(voice))
                return
            if course.state == "done":
                return
    except NotFound:  # deleted meanwhile
        unregister_voice(context.synthesizer, voice)
        await delete_job_folder(context.job_folder(voice))


async def _step(context: VoiceContext, row: VoiceRow, course: TrainingRecord) -> TrainingResult:
    folder = context.job_folder(row.id) / course.step
    await _write_job_folder(context, row, course.step, folder)
    python = context.environment.python()
    if python is None:
        raise TrainingFailed(context.environment.state.detail)
    teller = _ProgressWriter(context, row.id, course.model_copy(update={"state": "running", "error": None}))
    try:
        for deaths in range(1, _MAX_CRASHES + 1):
            try:
                return await run_training_process(
                    folder,
                    python,
                    context.idle_monitor,
                    threads=context.settings.voices.threads,
                    progress=teller.progress,
                    held=teller.set_paused,
                )
            except TrainingCrashed as error:
                if deaths == _MAX_CRASHES:
                    raise
                _log.warning("training of the voice %s resumes from its checkpoint: %s", row.id, error)
        raise AssertionError  # the loop returns or raises
    finally:
        await teller.close()


async def _write_job_folder(context: VoiceContext, row: VoiceRow, step: Step, folder: Path) -> None:
    """Write the input of the training process, unless it exists: then there are checkpoints for it."""
    if await asyncio.to_thread((folder / "job.json").is_file):
        return
    shelf, bank = context.store.voices, context.bank
    if bank is None or context.weights is None:
        raise TrainingFailed(context.unavailable_reason())
    if step == "decoder" and row.duration_s < _DECODER_S:
        raise TrainingFailed(
            f"training a decoder requires at least {_DECODER_S:.0f} s of speech, and the reference has "
            f"{row.duration_s:.1f} s: record more of the voice, or keep using its style"
        )
    language = as_language(row.language) or "zh"
    if step == "decoder" and not row.transcript:
        raise TrainingFailed("the decoder cannot be trained before the transcript of the reference is known")
    write_order = partial(
        build_job_spec,
        step,
        language,
        row.transcript or "",
        bank.tokens,
        weights=context.weights,
        encoders=context.training_encoders(),
        hears=context.listener,
        settings=context.settings.voices,
    )
    given = await run_on_cores(context.cores, BACKGROUND_TICKET, 1, write_order)
    pcm = await asyncio.to_thread(read_flac, await shelf.file(row.id, REFERENCE))
    if step == "style":
        style = style_bytes(await _start(context, bank, row, pcm, language))
    else:
        style = await shelf.file(row.id, STYLE)
    await to_the_end(write_job_folder, folder, given, pcm, style)


async def _start(
    context: VoiceContext, bank: StyleVoiceBank, row: VoiceRow, pcm: Pcm, language: Language
) -> NDArray[np.float32]:
    """Return the style from which training starts."""
    heard = {encoder.name: embedding for encoder, embedding in await context.embed(pcm, RATE)}
    return initial_style(bank.stock, heard.get("ge2e"), pitch_of(row), language, heard.get("campplus"))


async def _store_results(
    context: VoiceContext, row: VoiceRow, course: TrainingRecord, learned: TrainingResult
) -> TrainingRecord:
    """Store the trained files, use them from now on, and record the measured similarity."""
    shelf = context.store.voices
    try:
        style = read_style(await asyncio.to_thread(learned.style.read_bytes))
        decoder = None if learned.decoder is None else await asyncio.to_thread(learned.decoder.read_bytes)
    except (OSError, StoreError) as error:
        raise TrainingFailed(f"the training result cannot be read: {error}") from error
    if decoder is None:
        # A decoder fits only the style that it was trained with.
        await shelf.drop_file(row.id, DECODER)
    else:
        await shelf.put_file(row.id, DECODER, decoder)
    await shelf.put_file(row.id, STYLE, style_bytes(style))
    if context.bank is not None:
        context.bank.put_voice(row.id, style)
    context.notify_changed(row.id)
    measured = None
    try:
        measured = await speaker_similarity(context, row, hq=decoder is not None)
    except NotFound:
        raise  # deleted meanwhile
    except KuaimeiError as error:  # the training result is valid all the same
        _log.warning("the similarity of %s cannot be measured: %s", row.id, error)
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
    await delete_job_folder(context.job_folder(row.id) / step)
    return course


async def _update_state(context: VoiceContext, voice: str, course: TrainingRecord, **changed: Any) -> None:
    changed_course = course.model_copy(update=changed)
    await context.store.voices.change(voice, learning=changed_course.model_dump(mode="json"))


def _bounded(cosine: float | None) -> float | None:
    return None if cosine is None else round(float(np.clip(cosine, 0.0, 1.0)), 4)


class _ProgressWriter:
    """Writes the latest progress into the voice row, at most once a second."""

    def __init__(self, context: VoiceContext, voice: str, course: TrainingRecord) -> None:
        self._context = context
        self._voice = voice
        self._course = course
        self._news = asyncio.Event()
        self._news.set()
        self._over = asyncio.Event()
        self._telling = asyncio.ensure_future(self._tell())

    def progress(self, news: TrainingProgress) -> None:
        """Update fraction, remaining time and similarity."""
        similarity = _bounded(news.similarity.get(_LOSS))
        self._change(progress=news.fraction, eta_s=news.eta_s, similarity=similarity)

    def set_paused(self, held: bool) -> None:
        """Set the state to ``paused`` or ``running``."""
        self._change(state="paused" if held else "running")

    def _change(self, **changed: Any) -> None:
        self._course = self._course.model_copy(update=changed)
        self._news.set()

    async def close(self) -> None:
        """Stop writing; after this returns, nothing is written any more."""
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
                    await _update_state(self._context, self._voice, self._course)
                except NotFound:
                    raise
                except KuaimeiError as error:  # the database is unavailable: the next update is enough
                    _log.warning("the training progress of %s cannot be stored: %s", self._voice, error)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_UPDATE_INTERVAL_S):
                        await self._over.wait()
