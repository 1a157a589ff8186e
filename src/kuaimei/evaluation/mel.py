"""Slaney's mel filters, as in his Auditory Toolbox (1998) and in librosa's defaults."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["mel_filters"]

_LINEAR_HZ: Final = 200.0 / 3.0
"""Of one mel below 1 kHz."""
_BREAK_HZ: Final = 1000.0
_BREAK_MEL: Final = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP: Final = np.log(6.4) / 27.0
"""Natural logarithm of the ratio of one mel above 1 kHz."""


def mel_filters(rate: int, size: int, bands: int) -> NDArray[np.float32]:
    """Triangles of equal area from 0 Hz to half of ``rate``; shape ``(bands, size // 2 + 1)``.

    Args:
        rate: In Hz.
        size: Of the Fourier transform.
        bands: How many.
    """
    edges = _hz(np.linspace(0.0, _mel(rate / 2.0), bands + 2))
    bins = np.arange(size // 2 + 1) * (rate / size)
    rising = (bins - edges[:-2, np.newaxis]) / (edges[1:-1] - edges[:-2])[:, np.newaxis]
    falling = (edges[2:, np.newaxis] - bins) / (edges[2:] - edges[1:-1])[:, np.newaxis]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters: NDArray[np.float32] = (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, np.newaxis]).astype(
        np.float32
    )
    return filters


def _mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ
    return float(_BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above: NDArray[np.float64] = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, above)
