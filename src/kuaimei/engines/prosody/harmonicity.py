"""Harmonics-to-noise ratio of a voice."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.prosody.types import FRAME_MS

__all__ = ["harmonics_to_noise_db", "period_correlation"]

_RATE: Final = 16_000
_HOP: Final = round(_RATE * FRAME_MS / 1000.0)
_WINDOW: Final = 320
"""Samples compared with those one period later: 20 ms, a period of the deepest voice."""
_NEAR: Final = 0.08
"""Relative distance around the period given by F0 within which the best lag is searched."""
_TAPS: Final = 24
"""Lags to either side from which the correlation between two of them is interpolated."""
_SIZE: Final = 1_024
_BLOCK: Final = 1_024
"""Frames processed at a time."""
_BEST: Final = 1.0 - 1e-6
"""60 dB: the limit at which the interpolation can tell a correlation from a perfect one."""
_WORST: Final = 1e-2


def harmonics_to_noise_db(samples: NDArray[np.float32], f0_hz: NDArray[np.float32]) -> float | None:
    """Return the mean harmonics-to-noise ratio in dB of the voiced frames; None without any.

    10 log₁₀(r / (1 − r)), where r is the highest normalized correlation of the wave with itself about one
    period later (Boersma, "Accurate short-term analysis of the fundamental frequency and the
    harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17, 1993, eq. 4), interpolated between two
    lags by a windowed sinc function. As in Praat's "To Harmonicity (cc)" two stretches are correlated, not
    one window with itself: this avoids dividing by the window's autocorrelation, whose error in voices of
    more than 25 dB is larger than their noise.

    Args:
        samples: At 16 kHz, shape ``(n,)``.
        f0_hz: Every 10 ms, 0 in unvoiced frames.
    """
    voiced = f0_hz > 0
    inner = voiced.copy()
    inner[1:] &= voiced[:-1]
    inner[:-1] &= voiced[1:]
    frames = np.flatnonzero(inner if inner.any() else voiced)
    if not len(frames):
        return None
    r = np.clip(period_correlation(samples, f0_hz, frames), _WORST, _BEST)
    return float((10.0 * np.log10(r / (1.0 - r))).mean())


def period_correlation(
    samples: NDArray[np.float32], f0_hz: NDArray[np.float32], frames: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the correlation of the wave (16 kHz) with itself one period later, -1 to 1, in ``frames``."""
    pieces = [_alike(samples, frames[at : at + _BLOCK], f0_hz) for at in range(0, len(frames), _BLOCK)]
    return np.concatenate([np.zeros(0), *pieces])


def _alike(
    samples: NDArray[np.float32], frames: NDArray[np.int64], f0_hz: NDArray[np.float32]
) -> NDArray[np.float64]:
    period = _RATE / f0_hz[frames].astype(np.float64)
    reach = np.maximum(_NEAR * period, 2.0)
    low = np.floor(period - reach).astype(np.int64)
    lags = np.ceil(period + reach).astype(np.int64) - low + 1
    # Both stretches together are centred on the frame.
    begin = frames * _HOP + _HOP // 2 - ((period + _WINDOW) / 2).astype(np.int64)
    here = _taken(samples, begin, _WINDOW)
    first = begin + low - _TAPS
    width = int(lags.max()) + 2 * _TAPS
    there = _taken(samples, first, _WINDOW + width)
    products = np.fft.irfft(np.fft.rfft(here, _SIZE).conj() * np.fft.rfft(there, _SIZE), _SIZE)[:, :width]
    sums = np.zeros((len(frames), _WINDOW + width + 1))
    np.cumsum(np.square(there), axis=1, out=sums[:, 1:])
    energy = (sums[:, _WINDOW:] - sums[:, :-_WINDOW])[:, :width]
    own = np.square(here).sum(axis=1, keepdims=True)
    span = np.arange(width)
    inside = (span >= _TAPS) & (span < (_TAPS + lags)[:, None])
    curve = np.where(inside, products / np.sqrt(np.maximum(energy * own, 1e-20)), -np.inf)
    rows = np.arange(len(frames))
    lag = curve.argmax(axis=1).astype(np.float64)
    best: NDArray[np.float64] = curve.max(axis=1)
    for step in (0.25, 0.0625):
        tried = np.clip(lag[:, None] + step * np.arange(-3, 4), _TAPS, width - _TAPS - 1)
        values = _between(products, tried) / np.sqrt(np.maximum(_linear(energy, tried) * own, 1e-20))
        top = values.argmax(axis=1)
        lag, best = tried[rows, top], values[rows, top]
    return best


def _taken(samples: NDArray[np.float32], begin: NDArray[np.int64], length: int) -> NDArray[np.float64]:
    index = begin[:, None] + np.arange(length)
    inside = (index >= 0) & (index < len(samples))
    return np.where(inside, samples[np.clip(index, 0, len(samples) - 1)], 0.0).astype(np.float64)


def _between(curve: NDArray[np.float64], lags: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``curve`` at fractional ``lags``, shape ``(frames, k)``."""
    base = np.floor(lags).astype(np.int64)
    index = base[:, :, None] + np.arange(-_TAPS + 1, _TAPS + 1)
    distance = lags[:, :, None] - index
    kernel = np.sinc(distance) * (0.5 + 0.5 * np.cos(np.pi * distance / (_TAPS + 1)))
    rows = np.arange(len(curve))[:, None, None]
    values: NDArray[np.float64] = (curve[rows, np.clip(index, 0, curve.shape[1] - 1)] * kernel).sum(axis=2)
    return values


def _linear(curve: NDArray[np.float64], lags: NDArray[np.float64]) -> NDArray[np.float64]:
    base = np.minimum(lags.astype(np.int64), curve.shape[1] - 2)
    rows = np.arange(len(curve))[:, None]
    part = lags - base
    values: NDArray[np.float64] = curve[rows, base] * (1.0 - part) + curve[rows, base + 1] * part
    return values
