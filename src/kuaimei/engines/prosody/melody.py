"""What the contour of F0 says: how wide, how lively, where it ends, and whether it trembles."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.prosody.types import FRAME_MS

__all__ = ["Melody", "describe"]

_FPS: Final = 1000.0 / FRAME_MS
_LEAST_VOICED: Final = 10
_FARTHEST_ST: Final = 14.0
"""From the median of the utterance: beyond it lies an error of an octave, hardly a voice."""
_SLOPE_FRAMES: Final = 5
"""The slope is that of a line through so many values: one alone follows their rounding."""
_FASTEST_ST_S: Final = 100.0
"""Voices move by at most some 60 to 90 semitones a second (Xu and Sun, JASA 111, 2002)."""
_FINAL_S: Final = 0.5
_TREMOR_LEAST_S: Final = 0.3
_TREMOR_WINDOW_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Melody:
    """Of F0; None: too little of it. See `kuaimei.engines.prosody.types.Features`."""

    mean_hz: float | None = None
    sd_st: float | None = None
    range_st: float | None = None
    change_st_s: float | None = None
    final_st: float | None = None
    tremor_st: float | None = None


def describe(f0_hz: NDArray[np.float32]) -> Melody:
    """The melody of a contour (Hz every 10 ms, 0 where there is no voice)."""
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
    stretches = _stretches(voiced)
    return Melody(
        mean_hz=float(2.0 ** (values.mean() / 12.0)),
        sd_st=float(np.clip(values, first, last).std()),
        range_st=float(high - low),
        change_st_s=_change(semitones, stretches),
        final_st=_final(semitones, voiced),
        tremor_st=_tremor(semitones, stretches),
    )


def _stretches(voiced: NDArray[np.bool_]) -> list[tuple[int, int]]:
    padded = np.concatenate([[False], voiced, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _change(semitones: NDArray[np.float64], stretches: list[tuple[int, int]]) -> float | None:
    """Mean absolute slope, st/s, of lines through five values."""
    half = _SLOPE_FRAMES // 2
    weights = np.arange(-half, half + 1) / float(np.square(np.arange(-half, half + 1)).sum())
    slopes = [
        np.abs(np.correlate(semitones[a:b], weights, "valid")) * _FPS
        for a, b in stretches
        if b - a >= _SLOPE_FRAMES
    ]
    if not slopes:
        return None
    together = np.concatenate(slopes)
    return float(together[together <= _FASTEST_ST_S].mean()) if (together <= _FASTEST_ST_S).any() else None


def _final(semitones: NDArray[np.float64], voiced: NDArray[np.bool_]) -> float | None:
    """Fall or rise over the last half second that is voiced at its end: Theil's line times its length."""
    frames = np.flatnonzero(voiced)
    frames = frames[frames > frames[-1] - round(_FINAL_S * _FPS)]
    if len(frames) < _LEAST_VOICED:
        return None
    values = semitones[frames]
    i, j = np.triu_indices(len(frames), 1)
    slope = float(np.median((values[j] - values[i]) / (frames[j] - frames[i])))
    return slope * float(frames[-1] - frames[0])


def _tremor(semitones: NDArray[np.float64], stretches: list[tuple[int, int]]) -> float | None:
    """Root mean square of what a parabola through 0.25 s leaves, within stretches of 0.3 s and more."""
    size = round(_TREMOR_WINDOW_S * _FPS) | 1
    half = size // 2
    smooth = np.linalg.pinv(np.vander(np.arange(-half, half + 1), 3))[2]
    rest = []
    for a, b in stretches:
        if b - a < _TREMOR_LEAST_S * _FPS:
            continue
        piece = semitones[a:b]
        rest.append(piece[half:-half] - np.correlate(piece, smooth, "valid"))
    if not rest:
        return None
    return float(np.sqrt(np.square(np.concatenate(rest)).mean()))
