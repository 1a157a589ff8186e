"""How much of a voice is harmonic, and how much is noise."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.prosody.types import FRAME_MS

__all__ = ["harmonics_to_noise_db"]

_RATE: Final = 16_000
_HOP: Final = round(_RATE * FRAME_MS / 1000.0)
_PERIODS: Final = 4.5
"""In a window."""
_SHORTEST_S: Final = 0.02
_LONGEST_S: Final = 0.06
_SIZE: Final = 2_048
_BLOCK: Final = 1_024
"""Frames at a time."""
_SINC: Final = 24
"""Samples to either side from which the autocorrelation between two lags is interpolated."""
_BEST: Final = 1.0 - 1e-6
"""60 dB: what the interpolation can still tell from a perfect period."""
_WORST: Final = 1e-2


def harmonics_to_noise_db(samples: NDArray[np.float32], f0_hz: NDArray[np.float32]) -> float | None:
    """Mean harmonics-to-noise ratio of the voiced frames; None without any.

    10 log₁₀(r / (1 − r)), where r is the autocorrelation of a Hann window at the period, normalised and
    divided by that of the window itself (Boersma, "Accurate short-term analysis of the fundamental frequency
    and the harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17, 1993, eq. 4, 8 and 9), between
    lags by a windowed sine cardinal. The window follows the pitch: 4.5 periods.

    Args:
        samples: At 16 kHz, shape ``(n,)``.
        f0_hz: Every 10 ms, 0 where there is no voice.
    """
    voiced = f0_hz > 0
    inner = voiced.copy()
    inner[1:] &= voiced[:-1]
    inner[:-1] &= voiced[1:]
    frames = np.flatnonzero(inner if inner.any() else voiced)
    if not len(frames):
        return None
    found = [_ratios(samples, frames[at : at + _BLOCK], f0_hz) for at in range(0, len(frames), _BLOCK)]
    return float(np.concatenate(found).mean())


def _ratios(
    samples: NDArray[np.float32], frames: NDArray[np.int64], f0_hz: NDArray[np.float32]
) -> NDArray[np.float64]:
    period = _RATE / f0_hz[frames].astype(np.float64)
    length = np.clip(_PERIODS * period, _SHORTEST_S * _RATE, _LONGEST_S * _RATE)
    middle = frames * _HOP + _HOP // 2
    reach = int(_LONGEST_S * _RATE) // 2 + 1
    offset = np.arange(-reach, reach + 1)
    index = middle[:, None] + offset
    inside = (index >= 0) & (index < len(samples)) & (np.abs(offset) < 0.5 * length[:, None])
    cut = np.where(inside, samples[np.clip(index, 0, len(samples) - 1)], 0.0).astype(np.float64)
    cut -= cut.sum(axis=1, keepdims=True) / np.maximum(inside.sum(axis=1, keepdims=True), 1) * inside
    window = 0.5 + 0.5 * np.cos(2.0 * np.pi * offset / length[:, None])
    spectrum = np.fft.rfft(cut * window * inside, _SIZE)
    raw = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, _SIZE)
    raw /= np.maximum(raw[:, :1], 1e-20)
    # F0 says about where the period is; the highest point near it is the period of this window.
    near = np.arange(int(np.ceil(1.15 * period.max())) + 2)
    curve = raw[:, : len(near)] / _window_autocorrelation(near, length[:, None])
    curve[(near < 0.85 * period[:, None]) | (near > 1.15 * period[:, None])] = -np.inf
    lag = curve.argmax(axis=1).astype(np.float64)
    best = np.full(len(frames), -np.inf)
    for step in (0.25, 0.05):
        tried = lag[:, None] + step * np.arange(-3, 4)
        values = _between(raw, tried) / _window_autocorrelation(tried, length[:, None])
        top = values.argmax(axis=1)
        rows = np.arange(len(frames))
        lag, best = tried[rows, top], values[rows, top]
    r = np.clip(best, _WORST, _BEST)
    ratios: NDArray[np.float64] = 10.0 * np.log10(r / (1.0 - r))
    return ratios


def _window_autocorrelation(lag: NDArray[np.generic], length: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a Hann window, normalised (Boersma 1993, eq. 8)."""
    x = np.minimum(np.abs(lag) / length, 0.95)
    normal: NDArray[np.float64] = (1.0 - x) * (2.0 / 3.0 + np.cos(2.0 * np.pi * x) / 3.0) + np.sin(
        2.0 * np.pi * x
    ) / (2.0 * np.pi)
    return normal


def _between(raw: NDArray[np.float64], lags: NDArray[np.float64]) -> NDArray[np.float64]:
    """``raw`` at fractional ``lags``, shape ``(frames, k)`` both."""
    base = np.floor(lags).astype(np.int64)
    taps = np.arange(-_SINC + 1, _SINC + 1)
    index = base[:, :, None] + taps
    distance = lags[:, :, None] - index
    kernel = np.sinc(distance) * (0.5 + 0.5 * np.cos(np.pi * distance / (_SINC + 1)))
    rows = np.arange(len(raw))[:, None, None]
    values: NDArray[np.float64] = (raw[rows, np.abs(index)] * kernel).sum(axis=2)
    return values
