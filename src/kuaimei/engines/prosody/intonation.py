"""Statistics of the F0 contour: range, rate of change, final movement and tremor.

Pitch is in semitones, which match perception ('t Hart, Collier and Cohen, "A perceptual study of
intonation", 1990).

Tremor of the voice lies between 3 and 15 Hz (Winholtz and Ramig, "Vocal tremor analysis with the vocal
demodulator", JSHR 35, 1992), and so do syllables and their tones, 4 to 6 of them a second, which move the
pitch ten times as far. Curvature separates the two: a parabola through 170 ms follows a tone (the residual
is 6 % at 4 Hz and 14 % at 5 Hz), but not a tremor of 8 Hz and more (58 %, at 10 Hz 96 %). The median of the
residual, instead of its root mean square, ignores the corners between syllables; for a sine both are the
same. Trackers with windows of 40 ms follow 8 Hz by about 80 %.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.prosody.types import FRAME_MS

__all__ = ["Melody", "describe"]

_FPS: Final = 1000.0 / FRAME_MS
_LEAST_VOICED: Final = 10
_FARTHEST_ST: Final = 14.0
"""Distance from the utterance's median beyond which a value is an octave error rather than a voice."""
_SLOPE_FRAMES: Final = 5
"""Values to which a line is fitted for the slope: differences of single values follow their rounding."""
_JUMP_ST: Final = 1.5
"""Step between two values 10 ms apart above which the tracker has jumped, not the voice moved."""
_FINAL_S: Final = 0.5
_FINAL_FARTHEST_ST: Final = 7.0
"""Distance from the median of that end: creaky voice there is often tracked an octave too low."""
_TREMOR_LEAST: Final = 20
"""Minimum number of values in a stretch; in shorter ones the window hardly fits."""
_TREMOR_WINDOW: Final = 17
_TREMOR_GAIN: Final = 0.583
"""Share of a sine of 8 Hz that remains after subtracting the parabola through 170 ms."""


@dataclass(frozen=True, slots=True)
class Melody:
    """Statistics of F0; None if there are too few values. See `kuaimei.engines.prosody.types.Features`."""

    mean_hz: float | None = None
    sd_st: float | None = None
    range_st: float | None = None
    change_st_s: float | None = None
    final_st: float | None = None
    tremor_st: float | None = None


def describe(f0_hz: NDArray[np.float32]) -> Melody:
    """Compute the statistics of a contour (Hz every 10 ms, 0 in unvoiced frames)."""
    voiced = f0_hz > 0
    if np.count_nonzero(voiced) < _LEAST_VOICED:
        return Melody()
    semitones = np.zeros(len(f0_hz))
    semitones[voiced] = 12.0 * np.log2(f0_hz[voiced].astype(np.float64))
    middle = float(np.median(semitones[voiced]))
    voiced &= np.abs(semitones - middle) <= _FARTHEST_ST
    values = semitones[voiced]
    if len(values) < _LEAST_VOICED:
        return Melody()
    first, low, high, last = np.percentile(values, (1, 5, 95, 99))
    stretches = _stretches(semitones, voiced)
    return Melody(
        mean_hz=float(2.0 ** (values.mean() / 12.0)),
        sd_st=float(np.clip(values, first, last).std()),
        range_st=float(high - low),
        change_st_s=_change(stretches),
        final_st=_final(semitones, voiced),
        tremor_st=_tremor(stretches),
    )


def _stretches(semitones: NDArray[np.float64], voiced: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Split into runs of values without a gap or a jump."""
    frames = np.flatnonzero(voiced)
    values = semitones[frames]
    cuts = np.flatnonzero((np.diff(frames) > 1) | (np.abs(np.diff(values)) > _JUMP_ST)) + 1
    return np.split(values, cuts)


def _change(stretches: list[NDArray[np.float64]]) -> float | None:
    """Return the mean absolute slope, st/s, of lines through five values."""
    half = _SLOPE_FRAMES // 2
    weights = np.arange(-half, half + 1) / float(np.square(np.arange(-half, half + 1)).sum())
    slopes = [
        np.abs(np.correlate(values, weights, "valid")) for values in stretches if len(values) >= _SLOPE_FRAMES
    ]
    return float(np.concatenate(slopes).mean()) * _FPS if slopes else None


def _final(semitones: NDArray[np.float64], voiced: NDArray[np.bool_]) -> float | None:
    """Return the slope of Theil's line through the end, times its length."""
    frames = np.flatnonzero(voiced)
    frames = frames[frames > frames[-1] - round(_FINAL_S * _FPS)]
    values = semitones[frames]
    near = np.abs(values - np.median(values)) <= _FINAL_FARTHEST_ST
    frames, values = frames[near], values[near]
    if len(frames) < _LEAST_VOICED:
        return None
    i, j = np.triu_indices(len(frames), 1)
    slope = float(np.median((values[j] - values[i]) / (frames[j] - frames[i])))
    return slope * float(frames[-1] - frames[0])


def _tremor(stretches: list[NDArray[np.float64]]) -> float | None:
    """Return the scaled median distance from the parabola through the 170 ms around each value."""
    half = _TREMOR_WINDOW // 2
    parabola = np.linalg.pinv(np.vander(np.arange(-half, half + 1), 3))[2]
    rest = [
        np.abs(values[half:-half] - np.correlate(values, parabola, "valid"))
        for values in stretches
        if len(values) >= _TREMOR_LEAST
    ]
    return float(np.median(np.concatenate(rest))) / _TREMOR_GAIN if rest else None
