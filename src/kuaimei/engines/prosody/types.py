"""Types of the extracted prosodic features."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAME_MS", "Contours", "ExtractionResult", "Features", "Span", "VoiceQuality"]

FRAME_MS: Final = 10.0
"""Milliseconds between two values of a contour."""


@dataclass(frozen=True, slots=True)
class Span:
    """Interval of the recording.

    Attributes:
        start_s: Start in seconds from the beginning of the recording.
        end_s: End in seconds from the beginning of the recording.
    """

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class VoiceQuality:
    """Pitch and voice quality measured by an extractor.

    Attributes:
        f0_hz: Every 10 ms; 0 in unvoiced frames; shape ``(n // 10 ms,)``.
        jitter: Of the periods, relative; None if there are too few.
        shimmer: Of their amplitudes, relative; None if there are too few.
        hnr_db: Harmonics-to-noise ratio; None without voiced frames.
    """

    f0_hz: NDArray[np.float32] = field(repr=False)
    jitter: float | None = None
    shimmer: float | None = None
    hnr_db: float | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """Features of one utterance; None if a feature cannot be determined.

    All are measured on one normalized copy of the recording (`kuaimei.engines.prosody.preprocessing`), so
    that neither its level nor its sample rate changes them.

    Attributes:
        duration_s: Duration of the utterance, from the first to the last sound of speech.
        speech_s: The same without its pauses.
        snr_db: Speech above the noise in its pauses: 10 log₁₀((S − N) / N).
        rate_syl_s: r = syllables per second of speech, pauses not counted (the articulation rate of
            Goldman-Eisler, "Psycholinguistics", 1968).
        pause_ratio: p = T_sil / T_total: pauses of 0.2 s and more (Campione and Véronis, Speech Prosody 2002)
            over the duration, 0 to 1.
        pauses_per_min: Pauses per minute of the duration.
        pause_mean_s: Mean length of a pause; 0 without any.
        voiced_fraction: Share of the speech that is voiced, 0 to 1.
        fillers_per_min: Filler words (嗯、呃、uh) per minute of the duration.
        f0_mean_hz: Geometric mean of F0.
        f0_sd_st: Standard deviation of F0 in semitones, clipped to its 1st and 99th percentiles.
        f0_range_st: From the 5th to the 95th percentile of F0, in semitones.
        f0_change_st_s: How fast F0 moves within voiced stretches: mean absolute slope of lines through 50 ms,
            semitones per second.
        f0_final_st: Fall (negative) or rise of F0 over the last half second before the end of voicing, in
            semitones: Theil's slope (1950) times its length. In Chinese it includes the last tone.
        tremor_st: Tremor of F0 within voiced stretches, faster than tones and syllables (about 7 Hz and
            more), in semitones: for a sine of 8 Hz, its root mean square; see
            `kuaimei.engines.prosody.intonation`.
        jitter: Of the periods T, relative (0.01 is 1 %): 1/(N−1) Σ|T(i+1) − T(i)| / mean T.
        shimmer: The same for their amplitudes.
        hnr_db: Harmonics-to-noise ratio, 10 log₁₀(r / (1 − r)) of the correlation r of neighbouring periods
            (Boersma 1993), corrected for the noise measured in the pauses.
        level_sd_db: Standard deviation of the level of voiced frames, smoothed over 110 ms.
        level_range_db: From the 5th to the 95th percentile of that level.
    """

    duration_s: float
    speech_s: float
    snr_db: float | None = None
    rate_syl_s: float | None = None
    pause_ratio: float | None = None
    pauses_per_min: float | None = None
    pause_mean_s: float | None = None
    voiced_fraction: float | None = None
    fillers_per_min: float | None = None
    f0_mean_hz: float | None = None
    f0_sd_st: float | None = None
    f0_range_st: float | None = None
    f0_change_st_s: float | None = None
    f0_final_st: float | None = None
    tremor_st: float | None = None
    jitter: float | None = None
    shimmer: float | None = None
    hnr_db: float | None = None
    level_sd_db: float | None = None
    level_range_db: float | None = None


@dataclass(frozen=True, slots=True)
class Contours:
    """Contours that are drawn over the waveform.

    Attributes:
        f0_hz: Every 10 ms of the recording; 0 in unvoiced frames.
        pauses: Pauses within the utterance, in chronological order.
    """

    f0_hz: tuple[float, ...]
    pauses: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class ExtractionResult:
    """Features and contours of one utterance."""

    features: Features
    contours: Contours
