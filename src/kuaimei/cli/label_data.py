"""Features of labelled utterances, from the store or extracted now."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from kuaimei.analysis.calibration import Sample
from kuaimei.analysis.head import FEATURES
from kuaimei.analysis.labels import Label
from kuaimei.analysis.scoring import rejection_reason
from kuaimei.audio.decode import decode
from kuaimei.audio.pcm import ASR_RATE
from kuaimei.cli import console
from kuaimei.engines.asr import open_recognizer
from kuaimei.engines.prosody import open_meter
from kuaimei.engines.prosody.extraction import measure
from kuaimei.engines.prosody.types import Features
from kuaimei.engines.types import STTReq
from kuaimei.engines.vad import open_vad
from kuaimei.errors import NotFound
from kuaimei.runtime import open_engine
from kuaimei.settings import Settings
from kuaimei.store import Store, open_store

__all__ = ["gather"]


async def gather(settings: Settings, labels: Sequence[Label]) -> list[Sample]:
    """Return the features of each labelled utterance, stored or extracted now; unusable ones are left out.

    Raises:
        AudioError: If a recording cannot be decoded.
        StoreError: If the database is unavailable.
        WeightsError: If weights for the extraction are missing.
    """
    kept = [one for one in labels if one.file is None]
    found: list[tuple[Label, Features]] = []
    if kept:
        async with open_store(settings) as store:
            found += await _stored(store, kept)
        if missing := len(kept) - len(found):
            console.note(f"{missing} utterances are not stored or not analysed; run: kuaimei analyse --all")
    if files := [one for one in labels if one.file is not None]:
        found += await _measured(settings, files, console.note)
    usable = [(label, features) for label, features in found if rejection_reason(features) is None]
    if left := len(found) - len(usable):
        console.note(f"{left} utterances are left out: too short, too noisy or unvoiced")
    return [
        Sample(
            {name: value for name, value in asdict(features).items() if value is not None},
            label.ratings,
            label.session,
        )
        for label, features in usable
    ]


async def _stored(store: Store, labels: Sequence[Label]) -> list[tuple[Label, Features]]:
    measured = await store.analyses.features([label.utterance for label in labels])
    found = []
    for label in labels:
        if label.utterance not in measured:
            continue
        if not label.session:
            try:
                session = (await store.utterance(label.utterance)).session_id
            except NotFound:
                continue  # deleted meanwhile
            label = replace(label, session=session)
        found.append((label, _features(measured[label.utterance])))
    return found


def _features(kept: Mapping[str, float]) -> Features:
    # An older extractor may have used other feature names.
    known = {name: value for name, value in kept.items() if name in FEATURES}
    return Features(**{"duration_s": 0.0, "speech_s": 0.0, **known})


async def _measured(
    settings: Settings, labels: Sequence[Label], note: Callable[[str], None]
) -> list[tuple[Label, Features]]:
    meter = open_meter(settings.analysis.meter)
    found = []
    words = await _words(settings, [label.file for label in labels if label.file is not None], note)
    async with open_engine(settings, "vad", open_vad) as vad:
        for label in labels:
            if label.file is None:
                continue
            pcm = await decode(label.file, ASR_RATE)
            measured = await asyncio.to_thread(
                measure, pcm, ASR_RATE, vad=vad(), meter=meter, transcript=words[label.file] or None
            )
            found.append((label, measured.features))
            if len(found) % 20 == 0:
                note(f"analysed: {len(found)} of {len(labels)}")
    return found


async def _words(settings: Settings, files: Sequence[Path], note: Callable[[str], None]) -> dict[Path, str]:
    """Return the transcript of each file: from the ``.txt`` beside it, otherwise from recognition."""
    found: dict[Path, str] = {}
    for file in files:
        beside = file.with_suffix(".txt")
        if beside.is_file():
            found[file] = beside.read_text(encoding="utf-8-sig").strip()
    silent = [file for file in files if file not in found]
    if silent:
        note(f"{len(silent)} recordings have no NAME.txt beside them: they are transcribed")
        async with open_engine(settings, "asr", open_recognizer) as recognizer:
            for file in silent:
                chunk = await recognizer.transcribe(await decode(file, ASR_RATE), STTReq())
                found[file] = chunk.text
    return found
