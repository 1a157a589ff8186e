"""Job that prepares a new voice from its stored reference: takes seconds, needs no torch."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.speaker import TRAINING_ENCODERS
from kuaimei.engines.tts.kokoro.assets import style_of
from kuaimei.engines.types import Language, as_language
from kuaimei.errors import EngineError, NotFound
from kuaimei.store.voices import REFERENCE, STYLE, VoiceRow
from kuaimei.voices.context import VoiceContext
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.registration import needs_training, register_voice, unregister_voice
from kuaimei.voices.serialization import read_flac, style_bytes
from kuaimei.voices.state import TrainingRecord, pitch_of
from kuaimei.voices.styles.initial import nearest_by_pitch
from kuaimei.voices.styles.prediction import choose_style, predict_style
from kuaimei.voices.training.similarity import synthesize_prompts

__all__ = ["prepare"]

_log = logging.getLogger(__name__)

_CANDIDATE_TEXTS: Final[Mapping[Language, str]] = {
    "zh": "早安，今天想聊些什麼呢？",
    "en": "Good morning, what shall we talk about?",
}


async def prepare(context: VoiceContext, voice: str) -> VoiceRow | None:
    """Make the voice of that id ready to speak; return None if it is gone or needs no preparing.

    Raises:
        KuaimeiError: If something was temporarily unavailable; the voice stays in state ``preparing``.
    """
    shelf = context.store.voices
    try:
        row = await shelf.get(voice)
        if row.state != "preparing":
            return None
        try:
            pcm = await asyncio.to_thread(read_flac, await shelf.file(voice, REFERENCE))
        except NotFound:
            lost = "its recording was lost before it was stored; delete the voice and add it again"
            await shelf.change(voice, state="failed", stage="", error=lost)
            return None
        if row.transcript is None:
            await shelf.change(voice, stage="listening")
            row = await _write_down(context, row, pcm)
        await shelf.change(voice, stage="predicting")
        style = await _first_style(context, row, pcm)
        if style is not None:
            await shelf.put_file(voice, STYLE, style_bytes(style))
        await register_voice(context.synthesizer, shelf, row, style)
        row = await shelf.change(
            voice,
            state="ready",
            stage="",
            error=None,
            learning=_training_state(context).model_dump(mode="json"),
        )
    except NotFound:  # deleted meanwhile
        unregister_voice(context.synthesizer, voice)
        return None
    context.notify_changed(voice)
    return row


def _training_state(context: VoiceContext) -> TrainingRecord:
    """Return the initial training record of a new voice."""
    target = context.settings.voices.learn
    if target == "none" or not needs_training(context.synthesizer):
        return TrainingRecord(state="done", progress=1.0)
    if hindrance := context.unavailable_reason():
        return TrainingRecord(state="unavailable", error=hindrance, progress=1.0, target=target)
    return TrainingRecord(step="style", state="waiting", target=target)


async def _write_down(context: VoiceContext, row: VoiceRow, pcm: Pcm) -> VoiceRow:
    language = as_language(row.language)
    try:
        text, spoken = await context.examiner.transcribe(pcm, language)
    except EngineError as error:
        # The voice works without a transcript; its owner can enter it.
        _log.warning("the reference of %s could not be transcribed: %s", row.id, error)
        return row
    return await context.store.voices.change(row.id, transcript=text, language=language or spoken)


async def _first_style(context: VoiceContext, row: VoiceRow, pcm: Pcm) -> NDArray[np.float32] | None:
    """Return the most similar style available without training; synthesizes the candidates to compare.

    None if the synthesizer does not use styles.
    """
    bank = context.bank
    if bank is None:
        return None
    pitch = pitch_of(row)
    language = as_language(row.language) or "zh"
    heard = await context.embed(pcm, RATE)
    if not heard or heard[0][0].name != TRAINING_ENCODERS[0]:
        return style_of(bank.stock[nearest_by_pitch(bank.stock, pitch, language)])

    async def speak(style: NDArray[np.float32]) -> tuple[Pcm, int]:
        bank.put_voice(row.id, style)
        return await synthesize_prompts(context, row.id, _CANDIDATE_TEXTS[language])

    try:
        return (await choose_style(heard[0][1], heard, pitch, bank.stock, speak)).style
    except EngineError as error:
        _log.warning("the styles for %s could not be compared, using the predicted one: %s", row.id, error)
        return predict_style(heard[0][1], pitch, bank.stock).style
