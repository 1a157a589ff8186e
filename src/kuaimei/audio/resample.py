"""Sample rate conversion of whole recordings and of streams."""

import numpy as np
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from kuaimei.audio.pcm import EMPTY, Pcm, from_float, to_float

__all__ = ["StreamResampler", "resample", "resample_float"]


def resample(pcm: Pcm, source_rate: int, target_rate: int) -> Pcm:
    """Resample ``pcm`` to ``target_rate``.

    Args:
        pcm: Mono samples, shape ``(n,)``.
        source_rate: In Hz.
        target_rate: In Hz.

    Returns:
        About ``n * target_rate / source_rate`` samples; the same array if the rates are equal.
    """
    if source_rate == target_rate or not len(pcm):
        return pcm
    # As float: soxr dithers its 16-bit output, which would add noise to digital silence.
    return from_float(soxr.resample(to_float(pcm), source_rate, target_rate, quality="HQ"))


def resample_float(samples: NDArray[np.float32], source_rate: int, target_rate: int) -> NDArray[np.float32]:
    """Resample float samples without clipping or rounding. See `resample`."""
    if source_rate == target_rate or not len(samples):
        return samples
    changed: NDArray[np.float32] = soxr.resample(samples, source_rate, target_rate, quality="HQ")
    return changed


class StreamResampler:
    """Incremental resampler without discontinuities between pieces; one per stream.

    Args:
        source_rate: In Hz.
        target_rate: In Hz.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self._source_rate = source_rate
        self._target_rate = target_rate
        self._stream: soxr.ResampleStream | None = None
        self._begin()

    def push(self, pcm: Pcm) -> Pcm:
        """Resample ``pcm`` and return the output so far; it lags by the filter's length, about 20 ms."""
        if self._stream is None:
            return pcm
        if not len(pcm):
            return EMPTY
        return from_float(self._stream.resample_chunk(to_float(pcm)))

    def flush(self) -> Pcm:
        """Return the remaining output and reset the resampler."""
        if self._stream is None:
            return EMPTY
        rest = from_float(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
        self._begin()
        return rest

    def _begin(self) -> None:
        if self._source_rate != self._target_rate:
            self._stream = soxr.ResampleStream(
                self._source_rate, self._target_rate, 1, dtype="float32", quality="HQ"
            )
