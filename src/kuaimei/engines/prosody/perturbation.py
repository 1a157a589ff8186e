"""Lengths and amplitudes of the single glottal periods: jitter and shimmer.

The lengths match Praat's. Amplitudes are root mean squares close around each pulse; Praat's are weighted
from the previous pulse to the next one, and include more of those and of the noise.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.prosody.types import FRAME_MS

__all__ = ["RATE", "Pulses", "jitter", "mark_pulses", "shimmer"]

RATE: Final = 16_000
"""Sample rate in Hz of this module."""

_HOP: Final = round(RATE * FRAME_MS / 1000.0)
_LEAST_FRAMES: Final = 3
"""Minimum frames of a voiced stretch; a shorter one has hardly two periods."""
_SHORTER: Final = 0.8
_LONGER: Final = 1.25
"""Factors by which a period may differ from that given by F0, as in Praat's "To PointProcess (cc)"."""
_LIKENESS: Final = 0.3
"""Minimum correlation of neighbouring periods; below it there is no further period."""
_SIZE: Final = 512
"""Size of the Fourier transforms: a template has up to 267 samples, its search range 388."""
_LONGEST_PERIOD_S: Final = 0.02
_PERIOD_FACTOR: Final = 1.3
_AMPLITUDE_FACTOR: Final = 1.6
"""Neighbours that differ by more are not compared: Praat's defaults for all its jitters and shimmers."""
_AROUND: Final = 0.35
"""Periods to either side in which a pulse's amplitude is measured; beyond, its neighbours contribute."""
_LEAST_PERIODS: Final = 10
"""Minimum number of pairs; fewer say nothing about their irregularity."""


@dataclass(frozen=True, slots=True)
class Pulses:
    """Glottal closures.

    Attributes:
        times: In samples at `RATE`, with fractions, shape ``(n,)``.
        amplitudes: Root mean square around each, shape ``(n,)``.
        stretch: Number of the voiced stretch of each pulse, shape ``(n,)``.
    """

    times: NDArray[np.float64]
    amplitudes: NDArray[np.float64]
    stretch: NDArray[np.int64]


def mark_pulses(samples: NDArray[np.float32], f0_hz: NDArray[np.float32]) -> Pulses:
    """Follow the waveform from period to period.

    After Boersma's "To PointProcess (cc)" (Praat manual): starting from the strongest extremum in the
    middle of a voiced stretch, the next pulse to either side is where one period of the wave best matches
    that around the previous pulse (normalized cross-correlation, interpolated by a parabola), 0.8 to 1.25
    periods away. All stretches are followed at the same time, step by step.

    Args:
        samples: At `RATE`, shape ``(n,)``.
        f0_hz: Every 10 ms, 0 in unvoiced frames.
    """
    starts, ends = _stretches(f0_hz)
    if not len(starts):
        empty = np.zeros(0)
        return Pulses(empty, empty, np.zeros(0, np.int64))
    pad = _SIZE
    wave = np.zeros(len(samples) + 2 * pad, np.float32)
    wave[pad : pad + len(samples)] = samples
    both = np.concatenate([wave, wave[::-1]])
    periods = RATE / np.maximum(f0_hz.astype(np.float64), 1.0)
    seeds = np.array([_seed(samples, periods, a, b) for a, b in zip(starts, ends, strict=True)])
    # Steps to the left are steps to the right in the reversed wave.
    mirrored = len(both) - 1
    at = np.concatenate([seeds + pad, mirrored - (seeds + pad)])
    stop = np.concatenate([ends * _HOP + pad, mirrored - (starts * _HOP + pad)]).astype(np.float64)
    stretch = np.tile(np.arange(len(starts)), 2)
    chain = np.arange(len(at))
    found_at, found_chain = [seeds + float(pad)], [np.arange(len(seeds))]
    half = len(wave)
    while len(chain):
        frame = np.where(at < half, at - pad, mirrored - at - pad) / _HOP
        known = periods[np.clip(frame.astype(np.int64), starts[stretch[chain]], ends[stretch[chain]] - 1)]
        lag, likeness = _match(both, at, known)
        following = at + lag
        alive = (following < stop[chain]) & (likeness >= _LIKENESS)
        chain, at = chain[alive], following[alive]
        found_at.append(at)
        found_chain.append(chain)
    times, chains = np.concatenate(found_at), np.concatenate(found_chain)
    times = np.where(times < half, times, mirrored - times) - pad
    numbers = stretch[chains]
    order = np.lexsort((times, numbers))
    times, numbers = times[order], numbers[order]
    return Pulses(times, _amplitudes(wave, times + pad, numbers), numbers)


def jitter(pulses: Pulses) -> float | None:
    """Compute the local jitter, 1/(N−1) Σ|T(i+1) − T(i)| / mean T; None for fewer than ten pairs.

    Only pairs of neighbouring periods of at most 20 ms are used whose lengths differ by less than a factor
    of 1.3 (Praat manual, "PointProcess: Get jitter (local)").
    """
    times, stretch = pulses.times, pulses.stretch
    length = np.diff(times) / RATE
    fine = (stretch[1:] == stretch[:-1]) & (length > 0) & (length <= _LONGEST_PERIOD_S)
    first, second = length[:-1], length[1:]
    pair = fine[:-1] & fine[1:]
    pair[pair] &= _within(first[pair], second[pair], _PERIOD_FACTOR)
    return _relative(first[pair], second[pair])


def shimmer(pulses: Pulses) -> float | None:
    """Compute the local shimmer, 1/(N−1) Σ|A(i+1) − A(i)| / mean A; None for fewer than ten pairs.

    Only neighbours that differ by less than a factor of 1.6 are used (Praat's default).
    """
    length = np.diff(pulses.times) / RATE
    pair = (pulses.stretch[1:] == pulses.stretch[:-1]) & (length > 0) & (length <= _LONGEST_PERIOD_S)
    first, second = pulses.amplitudes[:-1], pulses.amplitudes[1:]
    pair &= (first > 0) & (second > 0)
    pair[pair] &= _within(first[pair], second[pair], _AMPLITUDE_FACTOR)
    return _relative(first[pair], second[pair])


def _within(first: NDArray[np.float64], second: NDArray[np.float64], factor: float) -> NDArray[np.bool_]:
    within: NDArray[np.bool_] = np.maximum(first, second) <= factor * np.minimum(first, second)
    return within


def _relative(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    if len(first) < _LEAST_PERIODS:
        return None
    return float(np.abs(second - first).mean() / (0.5 * (first + second)).mean())


def _stretches(f0_hz: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first frame of each voiced stretch and the one past its last."""
    voiced = np.concatenate([[False], f0_hz > 0, [False]])
    edges = np.flatnonzero(voiced[1:] != voiced[:-1])
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= _LEAST_FRAMES
    return starts[long], ends[long]


def _seed(samples: NDArray[np.float32], periods: NDArray[np.float64], start: int, end: int) -> int:
    middle = (start + end) // 2
    half = int(periods[middle]) // 2 + 1
    first = max(0, middle * _HOP + _HOP // 2 - half)
    return first + int(np.abs(samples[first : first + 2 * half]).argmax())


def _match(
    wave: NDArray[np.float32], at: NDArray[np.float64], period: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the samples from ``at`` to the best match of the wave around it, and their correlation."""
    half = (0.5 * period).astype(np.int64)
    low, high = np.floor(_SHORTER * period).astype(np.int64), np.ceil(_LONGER * period).astype(np.int64)
    first = np.rint(at).astype(np.int64) - half
    span = np.arange(_SIZE)
    width = 2 * half + 1
    here = wave[np.minimum(first[:, None] + span, len(wave) - 1)] * (span < width[:, None])
    there = wave[np.minimum((first + low)[:, None] + span, len(wave) - 1)]
    lags = high - low + 1
    there = there * (span < (lags + width - 1)[:, None])
    products = np.fft.irfft(np.fft.rfft(here).conj() * np.fft.rfft(there), _SIZE)
    sums = np.zeros((len(at), _SIZE + 1))
    np.cumsum(np.square(there, dtype=np.float64), axis=1, out=sums[:, 1:])
    upto = np.minimum(span + width[:, None], _SIZE)
    energy = np.take_along_axis(sums, upto, axis=1) - sums[:, :-1]
    own = np.square(here, dtype=np.float64).sum(axis=1)
    curve = products / np.sqrt(np.maximum(energy * own[:, None], 1e-20))
    curve = np.where(span < lags[:, None], curve, -2.0)
    best = curve.argmax(axis=1)
    rows = np.arange(len(at))
    inner = (best > 0) & (best < lags - 1)
    a = curve[rows, np.maximum(best - 1, 0)]
    b = curve[rows, best]
    c = curve[rows, np.minimum(best + 1, _SIZE - 1)]
    bend = a - 2.0 * b + c
    shift = np.where(inner & (bend < -1e-12), 0.5 * (a - c) / np.minimum(bend, -1e-12), 0.0)
    return low + best + np.clip(shift, -0.5, 0.5), b


def _amplitudes(
    wave: NDArray[np.float32], times: NDArray[np.float64], stretch: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the root mean square around each pulse."""
    if len(times) < 2:
        return np.zeros(len(times))
    power = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    same = stretch[1:] == stretch[:-1]
    gap = np.diff(times)
    after = np.append(np.where(same, gap, np.nan), np.nan)
    before = np.concatenate([[np.nan], np.where(same, gap, np.nan)])
    period = np.where(np.isnan(after), before, after)
    period = np.where(np.isnan(period), 0.0, period)
    energy = _at(power, times + _AROUND * period + 0.5) - _at(power, times - _AROUND * period + 0.5)
    amplitude: NDArray[np.float64] = np.sqrt(
        np.maximum(energy, 0.0) / np.maximum(2.0 * _AROUND * period, 1.0)
    )
    return amplitude


def _at(curve: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.float64]:
    base = np.clip(place.astype(np.int64), 0, len(curve) - 2)
    part = place - base
    values: NDArray[np.float64] = curve[base] * (1.0 - part) + curve[base + 1] * part
    return values
