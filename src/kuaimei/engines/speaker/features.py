"""Mel energies for the speaker encoders, in the two forms that they were trained on.

GE2E takes the plain power of 40 bands (librosa's defaults, Slaney's mel scale), CAM++ and ERes2Net the
logarithm of 80 (Kaldi's filter bank, each band's mean subtracted). Needs only numpy: the voice training
environment uses the same filters.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["FLOOR", "fbank", "kaldi_filters", "povey_window", "power_mel", "slaney_filters"]

Floats = NDArray[np.float32]

FLOOR: Final = float(np.finfo(np.float32).eps)
"""Lower bound of energies, as in Kaldi."""

_RATE: Final = 16_000
_WINDOW: Final = 400
_HOP: Final = 160
_PREEMPHASIS: Final = 0.97


def slaney_filters(rate: int, size: int, bands: int = 40, highest_hz: float = 8000.0) -> Floats:
    """Return triangular filters of equal area on Slaney's mel scale (linear below 1 kHz, then logarithmic).

    Source: M. Slaney, *Auditory Toolbox*, 1998; the defaults of ``librosa.filters.mel``.

    Args:
        rate: Sample rate in Hz.
        size: Size of the Fourier transform.
        bands: Number of filters.
        highest_hz: Upper end of the last filter.

    Returns:
        Shape ``(bands, size // 2 + 1)``.
    """
    linear_hz, corner_mel = 200.0 / 3.0, 15.0
    step = np.log(6.4) / 27.0
    top = corner_mel + np.log(highest_hz / 1000.0) / step if highest_hz > 1000.0 else highest_hz / linear_hz
    mels = np.linspace(0.0, top, bands + 2)
    edges = np.where(
        mels < corner_mel,
        mels * linear_hz,
        1000.0 * np.exp(step * (np.maximum(mels, corner_mel) - corner_mel)),
    )
    bins = np.arange(size // 2 + 1) * rate / size
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters: Floats = (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    return filters


def kaldi_filters(
    rate: int = _RATE, size: int = 512, bands: int = 80, lowest_hz: float = 20.0, highest_hz: float = 8000.0
) -> Floats:
    """Return Kaldi's filters: equal, symmetric triangles on the mel scale 1127·ln(1 + f/700).

    Args:
        rate: Sample rate in Hz.
        size: Size of the Fourier transform.
        bands: Number of filters.
        lowest_hz: Lower end of the first filter.
        highest_hz: Upper end of the last filter.

    Returns:
        Shape ``(bands, size // 2)``: Kaldi omits the highest bin.
    """

    def mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled: NDArray[np.float64] = 1127.0 * np.log1p(hz / 700.0)
        return scaled

    low, high = mel(np.array([lowest_hz, highest_hz]))
    width = (high - low) / (bands + 1)
    left = low + np.arange(bands)[:, None] * width
    bins = mel(np.arange(size // 2) * rate / size)[None]
    filters: Floats = np.maximum(
        0.0, np.minimum((bins - left) / width, (left + 2.0 * width - bins) / width)
    ).astype(np.float32)
    return filters


def povey_window(size: int = _WINDOW) -> Floats:
    """Return Kaldi's own window: Hann to the power of 0.85."""
    window: Floats = (np.hanning(size) ** 0.85).astype(np.float32)
    return window


@cache
def _slaney() -> Floats:
    return slaney_filters(_RATE, _WINDOW)


@cache
def _kaldi() -> tuple[Floats, Floats]:
    return kaldi_filters(), povey_window()


def power_mel(samples: Floats) -> Floats:
    """Return the power in 40 bands every 10 ms, from windows of 25 ms centred on the frames.

    Args:
        samples: At 16 kHz, shape ``(n,)``.

    Returns:
        Shape ``(1 + n // 160, 40)``.
    """
    padded = np.pad(samples, _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    periodic = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * periodic, axis=1)) ** 2
    mel: Floats = (power.astype(np.float32) @ _slaney().T).astype(np.float32)
    return mel


def fbank(samples: Floats) -> Floats:
    """Return the log energies in 80 bands every 10 ms, with the mean of each band subtracted.

    Args:
        samples: At 16 kHz, shape ``(n,)``, at least 400.

    Returns:
        Shape ``(1 + (n - 400) // 160, 80)``.
    """
    filters, window = _kaldi()
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    frames = (frames - _PREEMPHASIS * before) * window
    power = np.abs(np.fft.rfft(frames, 512, axis=1)) ** 2
    logs = np.log(np.maximum(power[:, :256].astype(np.float32) @ filters.T, FLOOR))
    centred: Floats = (logs - logs.mean(axis=0)).astype(np.float32)
    return centred
