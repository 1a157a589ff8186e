"""Run of ``kuaimei bench analysis``: reliability of the speech analysis."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from kuaimei.analysis.head import Head
from kuaimei.analysis.head_store import load_head
from kuaimei.analysis.reliability import concordance, load_pingouin
from kuaimei.audio.decode import decode
from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.engines.prosody import EXTRACTOR, METERS, open_meter
from kuaimei.engines.prosody.extraction import measure
from kuaimei.engines.prosody.types import Features
from kuaimei.engines.protocols import VoiceActivityDetector, VoiceQualityExtractor
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.vad import open_vad
from kuaimei.errors import SettingsError
from kuaimei.evaluation.analysis_reliability import (
    AS_IT_IS,
    Clip,
    Measurement,
    SeriesResult,
    degraded_takes,
    figures,
    follow,
)
from kuaimei.evaluation.progress import ReportProgress
from kuaimei.evaluation.references import EvaluationReference, find_references
from kuaimei.evaluation.runs.analysis_report import Agreement, Report, SeriesReport
from kuaimei.evaluation.speech_transforms import SERIES, STEPS, open_praat
from kuaimei.evaluation.synthetic_speech import lines, speak
from kuaimei.runtime import open_engine
from kuaimei.settings import Settings
from kuaimei.text.characters import is_han

__all__ = ["LEAST_CLIPS", "FeatureExtractor", "Plan", "examine"]

LEAST_CLIPS: Final = 5
"""Minimum number of clips; with fewer, ICC says nothing."""
_RATE: Final = 48_000
_COMPARED: Final = (
    "f0_mean_hz",
    "f0_sd_st",
    "f0_range_st",
    "f0_change_st_s",
    "tremor_st",
    "jitter",
    "shimmer",
    "hnr_db",
)
"""Features that depend on the meter."""
_TAKE: Final = re.compile(r"(?P<speaker>.+)_\d+")


@dataclass(frozen=True, slots=True)
class Plan:
    """Material to examine.

    Attributes:
        folder: Folder of recordings; None: speech is synthesized.
        made: Number of clips to synthesize.
        shaped: Number of clips to modify in speaking style.
    """

    folder: Path | None
    made: int
    shaped: int


class FeatureExtractor:
    """Measures clips, and counts the computing time.

    Args:
        vad: Factory of voice activity detectors.
        meter: Meter of pitch and voice quality.
    """

    def __init__(self, vad: Callable[[], VoiceActivityDetector], meter: VoiceQualityExtractor) -> None:
        self._vad = vad
        self._meter = meter
        self._spent_s = 0.0
        self._heard_s = 0.0

    @property
    def name(self) -> str:
        """Name of the meter."""
        return self._meter.name

    @property
    def ms_per_s(self) -> float:
        """Milliseconds of one core per second of audio."""
        return 1000.0 * self._spent_s / self._heard_s if self._heard_s else 0.0

    def __call__(self, clip: Clip, pcm: Pcm, rate: int) -> Features:
        """Return the features of ``pcm``, a version of ``clip``.

        Args:
            clip: Clip with transcript and language.
            pcm: Int16 samples.
            rate: Sample rate of ``pcm`` in Hz.
        """
        began = time.process_time()
        measured = measure(
            pcm,
            rate,
            vad=self._vad(),
            meter=self._meter,
            transcript=clip.transcript or None,
            language=clip.language,
        )
        self._spent_s += time.process_time() - began
        self._heard_s += len(pcm) / rate
        return measured.features


async def examine(
    settings: Settings, plan: Plan, note: Callable[[str], None], progress: ReportProgress
) -> Report:
    """Run the whole benchmark.

    Args:
        settings: Settings of the user.
        plan: Material to examine.
        note: Receives remarks for the user.
        progress: Receives the progress.

    Raises:
        AudioError: If a recording cannot be read.
        SettingsError: If something needed is not installed, or there are too few clips.
        WeightsError: If weights are missing.
    """
    load_pingouin()  # fail before minutes are spent
    note("ICC is computed with pingouin, which is licensed under the GPL-3")
    clips = await _made(settings, plan.made, progress) if plan.folder is None else await _read(plan.folder)
    if len(clips) < LEAST_CLIPS:
        raise SettingsError(
            f"{len(clips)} clips are too few to measure reliability: use {LEAST_CLIPS} or more, or --made 24"
        )
    head = load_head(settings.home)
    async with AsyncExitStack() as stack:
        vad = await stack.enter_async_context(open_engine(settings, "vad", open_vad))
        meters = _meters(settings.analysis.meter, note)
        ears = [FeatureExtractor(vad, meter) for meter in meters]
        for ear in ears:  # warm-up: the first call initializes libraries
            await asyncio.to_thread(ear, clips[0], clips[0].pcm, clips[0].rate)
        ears = [FeatureExtractor(vad, meter) for meter in meters]
        heard = []
        for at, clip in enumerate(clips):
            heard.append(await _hear(ears[0], clip, at))
            progress("measured under degraded conditions", at + 1, len(clips))
        others = await _compare(ears[1:], heard, progress)
        followed = await _follow(ears[0], clips[: plan.shaped], head, note, progress)
    whose = "synthetic (Kokoro's stock voices)" if plan.folder is None else plan.folder.name
    found = await asyncio.to_thread(
        lambda: figures(heard, head, extractor=f"{ears[0].name}-{EXTRACTOR}", speech=whose)
    )
    return Report(
        figures=found,
        head=head.version,
        used=sorted(head.used()),
        series=[SeriesReport.of(one) for one in followed],
        agreement=others,
        ms_per_s={ear.name: round(ear.ms_per_s, 1) for ear in ears},
    )


def _meters(first: str, note: Callable[[str], None]) -> list[VoiceQualityExtractor]:
    """Return the meter of the settings, then the others that are installed."""
    found = [open_meter(first)]
    for name in METERS:
        if name == first:
            continue
        try:
            found.append(open_meter(name))
        except SettingsError as error:
            note(f"without {name}: {error}")
    return found


async def _hear(ear: FeatureExtractor, clip: Clip, seed: int) -> Measurement:
    mp3 = await decode(await asyncio.to_thread(encode, clip.pcm, clip.rate, "mp3"), ASR_RATE)

    def every() -> dict[str, Features]:
        return {
            label: ear(clip, pcm, rate) for label, pcm, rate in degraded_takes(clip, (mp3, ASR_RATE), seed)
        }

    return Measurement(clip, await asyncio.to_thread(every))


async def _compare(
    ears: Sequence[FeatureExtractor], heard: Sequence[Measurement], progress: ReportProgress
) -> list[Agreement]:
    """Compare the other meters with the first one on the unmodified clips."""
    first = [one.features[AS_IT_IS] for one in heard]
    found = []
    for ear in ears:
        second = []
        for at, one in enumerate(heard):
            second.append(await asyncio.to_thread(ear, one.clip, one.clip.pcm, one.clip.rate))
            progress(f"measured with {ear.name}", at + 1, len(heard))
        for name in _COMPARED:
            a, b = _column(first, name), _column(second, name)
            both = np.isfinite(a) & np.isfinite(b)
            ccc = concordance(a, b)
            found.append(
                Agreement(
                    meter=ear.name,
                    feature=name,
                    concordance=None if ccc is None else round(ccc, 3),
                    difference=float(f"{np.mean(b[both] - a[both]):.3g}") if both.any() else None,
                    limits=float(f"{1.96 * np.std(b[both] - a[both], ddof=1):.3g}")
                    if np.count_nonzero(both) > 1
                    else None,
                )
            )
    return found


async def _follow(
    ear: FeatureExtractor,
    clips: Sequence[Clip],
    head: Head,
    note: Callable[[str], None],
    progress: ReportProgress,
) -> list[SeriesResult]:
    if not clips:
        return []
    try:
        open_praat()
    except SettingsError as error:
        note(f"without modified speaking styles: {error}")
        return []
    found = []
    for series in SERIES.values():
        rows: list[tuple[float, ...]] = []
        for clip in clips:  # one at a time, so that it can be cancelled in between
            one = await asyncio.to_thread(follow, [clip], series, STEPS, ear, head)
            rows += one.values
            progress(f"modified: {series.name}", len(rows), len(clips))
        found.append(SeriesResult(series, tuple(rows)))
    return found


async def _made(settings: Settings, count: int, progress: ReportProgress) -> list[Clip]:
    clips = []
    async with open_engine(settings, "tts", open_synthesizer) as synthesizer:
        for line in lines(count):
            pcm = await speak(synthesizer, line)
            clips.append(Clip(line.name, pcm, synthesizer.sample_rate, line.text, line.language, line.name))
            progress("synthesized", len(clips), count)
    return clips


async def _read(folder: Path) -> list[Clip]:
    return [await _clip(reference) for reference in find_references(folder)]


async def _clip(reference: EvaluationReference) -> Clip:
    again = _TAKE.fullmatch(reference.name)
    language = None
    if reference.transcript:
        language = "zh" if any(map(is_han, reference.transcript)) else "en"
    return Clip(
        name=reference.name,
        pcm=await decode(reference.path, _RATE),
        rate=_RATE,
        transcript=reference.transcript,
        language=language,
        speaker=again["speaker"] if again else reference.name,
    )


def _column(rows: Sequence[Features], name: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    values = [asdict(row)[name] for row in rows]
    return np.array([np.nan if value is None else value for value in values], np.float64)
