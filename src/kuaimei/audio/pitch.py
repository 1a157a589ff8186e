"""Pitch of a voice: F0 tracking and summary statistics."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm, to_float
from kuaimei.audio.resample import resample

__all__ = ["HOP_MS", "PitchSummary", "summarise_pitch", "track_pitch"]

HOP_MS: Final = 10.0
"""Milliseconds between two values of a pitch track."""

_RATE: Final = 16_000
_HOP: Final = int(_RATE * HOP_MS / 1000.0)
_WINDOW: Final = 640
"""Correlation window in samples: 40 ms hold two periods of the deepest voice."""
_BLOCK: Final = 2_048
"""Frames per batch: ten minutes of audio in one batch would take gigabytes."""
_CANDIDATES: Final = 5
_UNVOICED_COST: Final = 0.35
"""Cost of an unvoiced frame; accepts regular voices only: the pitch of creaky voices is hardly audible."""
_SILENCE_DB: Final = -35.0
"""Frames this far below the loudest one are unvoiced, even if they hum."""
_SWITCH_COST: Final = 0.18
"""Cost of a change between voiced and unvoiced, so that a single frame does not cause one."""
_JUMP_COST: Final = 1.2
"""Cost per octave between neighbouring frames: an octave error costs more than a shallower dip."""
_LATE_COST: Final = 0.04
"""Cost per octave below the highest pitch: of equal dips the first is the period, the others multiples."""
_LEAST_VOICED: Final = 10


@dataclass(frozen=True, slots=True)
class PitchSummary:
    """Statistics of a pitch track.

    Attributes:
        mean_hz: Geometric mean, because pitch is perceived on a logarithmic scale.
        low_hz: 5th percentile.
        high_hz: 95th percentile.
        log_sd: Standard deviation of the natural logarithm of F0, clipped to its 1st and 99th percentiles;
            about 0.1 is flat, 0.3 lively.
        voiced_s: Seconds of voiced sound the statistics are based on.
    """

    mean_hz: float
    low_hz: float
    high_hz: float
    log_sd: float
    voiced_s: float


def track_pitch(
    pcm: Pcm,
    rate: int,
    *,
    lowest_hz: float = 60.0,
    highest_hz: float = 500.0,
    unvoiced_cost: float = _UNVOICED_COST,
) -> NDArray[np.float32]:
    """Track the F0 of a single speaker, one value per 10 ms.

    Candidates are the dips of YIN's cumulative mean normalized difference (de Cheveigné and Kawahara,
    "YIN, a fundamental frequency estimator for speech and music", JASA 111, 2002, eq. 6 to 8). The cheapest
    path through all frames selects one of them or none, as in pYIN (Mauch and Dixon, 2014).

    Args:
        pcm: Mono samples, shape ``(n,)``.
        rate: Sample rate in Hz.
        lowest_hz: Lower limit of the search.
        highest_hz: Upper limit of the search.
        unvoiced_cost: A frame whose best dip is above this is unvoiced; a higher value accepts creaky voices.

    Returns:
        F0 in Hz, 0 in unvoiced frames; shape ``(n // 10 ms,)``.
    """
    samples = to_float(resample(pcm, rate, _RATE))
    frames = len(samples) // _HOP
    if not frames:
        return np.zeros(0, np.float32)
    longest = int(_RATE / lowest_hz) + 2
    shortest = int(_RATE / highest_hz)
    span = _WINDOW + longest
    padded = np.zeros((frames - 1) * _HOP + span, np.float32)
    before = span // 2 - _HOP // 2  # a frame is centred on its hop
    kept = min(len(samples), len(padded) - before)
    padded[before : before + kept] = samples[:kept]
    view = np.lib.stride_tricks.sliding_window_view(padded, span)[::_HOP][:frames]
    level_db = np.zeros(frames, np.float32)
    periods = np.zeros((frames, _CANDIDATES), np.float32)
    costs = np.full((frames, _CANDIDATES), np.inf, np.float32)
    for start in range(0, frames, _BLOCK):
        part = slice(start, start + _BLOCK)
        level_db[part] = 10.0 * np.log10(np.maximum(np.square(view[part]).mean(axis=1), 1e-12))
        periods[part], costs[part] = _dips(_differences(view[part], longest), shortest)
    costs[(level_db < level_db.max() + _SILENCE_DB) | (level_db < -65.0)] = np.inf
    chosen = _cheapest(periods, costs, unvoiced_cost)
    track = np.zeros(frames, np.float32)
    voiced = chosen >= 0
    track[voiced] = _RATE / periods[voiced, chosen[voiced]]
    return track


def summarise_pitch(*tracks: NDArray[np.float32]) -> PitchSummary | None:
    """Compute mean, range and liveliness over all ``tracks``; None with fewer than 10 voiced frames."""
    voiced = np.concatenate([track[track > 0] for track in tracks]) if tracks else np.zeros(0, np.float32)
    if len(voiced) < _LEAST_VOICED:
        return None
    logs = np.log(voiced.astype(np.float64))
    first, low, high, last = np.percentile(logs, (1, 5, 95, 99))
    return PitchSummary(
        mean_hz=float(np.exp(logs.mean())),
        low_hz=float(np.exp(low)),
        high_hz=float(np.exp(high)),
        log_sd=float(np.clip(logs, first, last).std()),
        voiced_s=len(voiced) * HOP_MS / 1000.0,
    )


def _differences(view: NDArray[np.float32], longest: int) -> NDArray[np.float32]:
    """Compute YIN's cumulative mean normalized difference of each lag; shape ``(frames, longest)``."""
    size = 1 << (view.shape[1] + _WINDOW - 1).bit_length()
    whole = np.fft.rfft(view, size)
    head = np.fft.rfft(view[:, :_WINDOW], size)
    products = np.fft.irfft(whole * head.conj(), size)[:, :longest]
    sums = np.concatenate(
        [np.zeros((len(view), 1)), np.cumsum(np.square(view, dtype=np.float64), axis=1)], axis=1
    )
    lags = np.arange(longest)
    energies = sums[:, lags + _WINDOW] - sums[:, lags]
    difference = np.maximum(energies[:, :1] + energies - 2.0 * products, 0.0)
    difference[:, 0] = 0.0
    means = np.cumsum(difference, axis=1) / np.maximum(lags, 1)
    normal: NDArray[np.float32] = (difference / np.maximum(means, 1e-9)).astype(np.float32)
    normal[:, 0] = 1.0
    return normal


def _dips(curve: NDArray[np.float32], shortest: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return periods (in samples, with parabolic interpolation) and costs of each frame's deepest dips."""
    middle, left, right = curve[:, 1:-1], curve[:, :-2], curve[:, 2:]
    dip = (middle <= left) & (middle < right)
    dip[:, : max(0, shortest - 1)] = False
    lags = np.arange(1, curve.shape[1] - 1)
    late = _LATE_COST * np.log2(np.maximum(lags, shortest) / shortest)
    cost = np.where(dip, middle + late, np.inf)
    best = np.argpartition(cost, _CANDIDATES, axis=1)[:, :_CANDIDATES]
    rows = np.arange(len(curve))[:, np.newaxis]
    a, b, c = left[rows, best], middle[rows, best], right[rows, best]
    bend = a - 2.0 * b + c
    shift = np.where(bend > 1e-9, 0.5 * (a - c) / np.maximum(bend, 1e-9), 0.0)
    periods = (lags[best] + np.clip(shift, -0.5, 0.5)).astype(np.float32)
    return periods, cost[rows, best].astype(np.float32)


def _cheapest(
    periods: NDArray[np.float32], costs: NDArray[np.float32], unvoiced_cost: float
) -> NDArray[np.int64]:
    """Return each frame's candidate on the cheapest path (Viterbi); -1: unvoiced."""
    frames, count = costs.shape
    octaves = np.log2(np.maximum(periods, 1.0))
    jumps = np.empty((count + 1, count + 1), np.float32)
    jumps[count, :] = jumps[:, count] = _SWITCH_COST
    jumps[count, count] = 0.0
    total = np.append(costs[0], np.float32(unvoiced_cost))
    came = np.zeros((frames, count + 1), np.int64)
    for frame in range(1, frames):
        jumps[:count, :count] = _JUMP_COST * np.abs(octaves[frame - 1][:, np.newaxis] - octaves[frame])
        ways = total[:, np.newaxis] + jumps
        came[frame] = ways.argmin(axis=0)
        total = ways.min(axis=0) + np.append(costs[frame], np.float32(unvoiced_cost))
    path = np.empty(frames, np.int64)
    path[-1] = int(total.argmin())
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = came[frame, path[frame]]
    return np.where(path == count, -1, path)
