"""What is measured of how an utterance was spoken."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAME_MS", "Contours", "ExtractionResult", "Features", "Span", "VoiceQuality"]

FRAME_MS: Final = 10.0
"""Between two values of a contour."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the recording.

    Attributes:
        start_s: Seconds from its beginning.
        end_s: Likewise.
    """

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class VoiceQuality:
    """What a meter hears of the vocal folds.

    Attributes:
        f0_hz: Every 10 ms; 0 where there is no voice; shape ``(n // 10 ms,)``.
        jitter: Of the periods, relative; None: too few of them.
        shimmer: Of their amplitudes, relative; None: too few of them.
        hnr_db: Harmonics-to-noise ratio; None: no voice.
    """

    f0_hz: NDArray[np.float32] = field(repr=False)
    jitter: float | None = None
    shimmer: float | None = None
    hnr_db: float | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """Numbers of one utterance; None: cannot be told of this one.

    All are measured on one copy of the recording (`kuaimei.engines.prosody.preprocessing`), so that neither its
    level nor its rate changes them.

    Attributes:
        duration_s: Of the utterance, from the first to the last sound of speech.
        speech_s: Of that, without its pauses.
        snr_db: Speech above the noise in its pauses: 10 log₁₀((S − N) / N).
        rate_syl_s: r = syllables per second of speech, pauses not counted (the articulation rate of
            Goldman-Eisler, "Psycholinguistics", 1968).
        pause_ratio: p = T_sil / T_total: pauses of 0.2 s and more (Campione and Véronis, Speech Prosody 2002)
            over the duration, 0 to 1.
        pauses_per_min: Pauses in a minute of the duration.
        pause_mean_s: Mean length of a pause; 0 without any.
        voiced_fraction: Of the speech, the share in which the vocal folds vibrate, 0 to 1.
        fillers_per_min: Filler words (嗯、呃、uh) in a minute of the duration.
        f0_mean_hz: Geometric mean of F0.
        f0_sd_st: Standard deviation of F0 in semitones, what lies beyond 1 % to either side put back to that.
        f0_range_st: From its 5th to its 95th percentile, in semitones.
        f0_change_st_s: How fast F0 moves within voiced stretches: mean absolute slope of lines through 50 ms,
            semitones per second.
        f0_final_st: Fall (negative) or rise of F0 over the last half second that is voiced at its end, in
            semitones: Theil's slope (1950) times its length. In Chinese the last tone is in it.
        tremor_st: Trembling of F0 within voiced stretches, faster than tones and syllables (some 7 Hz and
            more), in semitones: of a sine of 8 Hz, its root mean square (`kuaimei.engines.prosody.intonation`).
        jitter: Of the periods T, relative (0.01 is 1 %): 1/(N−1) Σ|T(i+1) − T(i)| / mean T.
        shimmer: The same of their amplitudes.
        hnr_db: Harmonics-to-noise ratio, 10 log₁₀(r / (1 − r)) of the correlation r of neighbouring periods
            (Boersma 1993), without what the noise in the pauses adds to it.
        level_sd_db: Standard deviation of the level of what is voiced, over 110 ms each.
        level_range_db: From its 5th to its 95th percentile.
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
    """What is drawn over the waveform.

    Attributes:
        f0_hz: Every 10 ms of the recording; 0 where there is no voice.
        pauses: Within the utterance, in their order.
    """

    f0_hz: tuple[float, ...]
    pauses: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class ExtractionResult:
    """One utterance."""

    features: Features
    contours: Contours
