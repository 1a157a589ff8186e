"""Extraction of the prosodic features of an utterance."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.loudness import signal_to_noise_db
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.engines.prosody.intonation import describe
from kuaimei.engines.prosody.pauses import SpeechActivity, detect_pauses
from kuaimei.engines.prosody.preprocessing import FRAME, prepare
from kuaimei.engines.prosody.types import FRAME_MS, Contours, ExtractionResult, Features, Span
from kuaimei.engines.protocols import VoiceActivityDetector, VoiceQualityExtractor
from kuaimei.text.fillers import find_fillers
from kuaimei.text.syllables import count_syllables

__all__ = ["measure"]

_MARGIN_FRAMES: Final = 15
"""Frames around speech that count as neither speech nor pause: soft onsets and reverberation."""
_LEAST_QUIET: Final = 10
_DIGITAL_SILENCE: Final = 1e-11
"""Power below this was generated digitally and says nothing about the room's noise."""
_LEAST_SPEECH_S: Final = 0.3
_LEAST_FRAMES: Final = 10
_SMOOTH_FRAMES: Final = 5
"""Frames averaged to either side: half a syllable, so that a level follows syllables, not their details."""
_SOFTEST_DB: Final = 25.0
"""Frames softer than the loudest by more than this are ignored: noise masks them in some rooms."""


def measure(
    pcm: Pcm,
    rate: int,
    *,
    vad: VoiceActivityDetector,
    meter: VoiceQualityExtractor,
    transcript: str | None = None,
    language: str | None = None,
) -> ExtractionResult:
    """Extract all features of one utterance; blocking, a few percent of its length on one core.

    Poor audio raises nothing: features that cannot be determined are None, without speech all are.

    Args:
        pcm: Mono samples, shape ``(n,)``.
        rate: Sample rate in Hz, 8000 or more.
        vad: Detector for this call alone: it is reset.
        meter: Extractor of pitch and voice quality.
        transcript: Spoken text; without it, speech rate and fillers are None.
        language: ``zh`` or ``en``, determines how numbers in the transcript are read.
    """
    prepared = prepare(pcm, rate)
    spoken = detect_pauses(prepared, vad)
    frames = len(prepared.levels_db)
    if spoken.whole is None:
        return ExtractionResult(Features(0.0, 0.0), Contours((0.0,) * frames, ()))
    first, last = (round(second * 1000.0 / FRAME_MS) for second in (spoken.whole.start_s, spoken.whole.end_s))
    voice = meter.voice(prepared.samples[first * FRAME : last * FRAME], ASR_RATE)
    f0_hz = np.zeros(frames, np.float32)
    f0_hz[first : first + len(voice.f0_hz)] = voice.f0_hz[: frames - first]
    f0_hz[~spoken.speech] = 0.0
    melody = describe(f0_hz)
    duration_s = _length(spoken.whole)
    speech_s = duration_s - sum(map(_length, spoken.pauses))
    power = 10.0 ** (prepared.levels_db / 10.0)
    noise = _noise(power, spoken)
    level = _level(power, noise, f0_hz > 0)
    syllables = count_syllables(transcript, language) if transcript else 0
    features = Features(
        duration_s=duration_s,
        speech_s=speech_s,
        snr_db=signal_to_noise_db(float(power[spoken.speech].mean()), noise),
        rate_syl_s=syllables / speech_s if syllables and speech_s >= _LEAST_SPEECH_S else None,
        pause_ratio=1.0 - speech_s / duration_s,
        pauses_per_min=60.0 * len(spoken.pauses) / duration_s,
        pause_mean_s=float(np.mean([_length(p) for p in spoken.pauses])) if spoken.pauses else 0.0,
        voiced_fraction=float(np.count_nonzero(f0_hz) / np.count_nonzero(spoken.speech)),
        fillers_per_min=60.0 * len(find_fillers(transcript)) / duration_s if transcript else None,
        f0_mean_hz=melody.mean_hz,
        f0_sd_st=melody.sd_st,
        f0_range_st=melody.range_st,
        f0_change_st_s=melody.change_st_s,
        f0_final_st=melody.final_st,
        tremor_st=melody.tremor_st,
        jitter=voice.jitter,
        shimmer=voice.shimmer,
        hnr_db=_without_noise(voice.hnr_db, power, noise, f0_hz > 0),
        level_sd_db=level.sd_db,
        level_range_db=level.range_db,
    )
    return ExtractionResult(features, Contours(tuple(round(float(hz), 2) for hz in f0_hz), spoken.pauses))


@dataclass(frozen=True, slots=True)
class _Level:
    sd_db: float | None = None
    range_db: float | None = None


def _length(span: Span) -> float:
    return span.end_s - span.start_s


def _noise(power: NDArray[np.float64], spoken: SpeechActivity) -> float:
    """Return the median power in the pauses; without pauses, the 5th percentile of all (Martin 2001)."""
    near = _summed(spoken.speech.astype(np.float64), _MARGIN_FRAMES) > 0.5
    quiet = power[~near]
    sounding = quiet[quiet > _DIGITAL_SILENCE]
    if len(sounding) >= _LEAST_QUIET:
        quiet = sounding
    if len(quiet) < _LEAST_QUIET:
        return float(np.percentile(power, 5.0))
    return float(np.median(quiet))


def _level(power: NDArray[np.float64], noise: float, voiced: NDArray[np.bool_]) -> _Level:
    """Return the level statistics of voiced frames: smoothed, noise subtracted, without the softest."""
    if np.count_nonzero(voiced) < _LEAST_FRAMES:
        return _Level()
    clean = np.maximum(power - noise, 0.1 * power)
    smooth = _summed(clean, _SMOOTH_FRAMES)[voiced]
    levels = 10.0 * np.log10(np.maximum(smooth, 1e-11))
    levels = levels[levels > np.percentile(levels, 95.0) - _SOFTEST_DB]
    low, high = np.percentile(levels, (5.0, 95.0))
    return _Level(float(levels.std()), float(high - low))


def _without_noise(
    ratio_db: float | None, power: NDArray[np.float64], noise: float, voiced: NDArray[np.bool_]
) -> float | None:
    """Return the HNR without background noise: the noise's share of the power is subtracted.

    At most three quarters are subtracted: what remains is as uncertain as the noise estimate.
    """
    if ratio_db is None or not voiced.any():
        return ratio_db
    share = 1.0 / (1.0 + 10.0 ** (ratio_db / 10.0))
    room = noise / float(np.exp(np.log(np.maximum(power[voiced], 1e-12)).mean()))
    voice = max(share - room, 0.25 * share)
    return 10.0 * float(np.log10((1.0 - voice) / voice))


def _summed(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return for each value its sum with ``reach`` neighbours to either side."""
    around: NDArray[np.float64] = np.convolve(values, np.ones(2 * reach + 1))[reach : reach + len(values)]
    return around
