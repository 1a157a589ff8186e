"""Normalization of recordings before feature extraction: bandwidth and level."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import ASR_RATE, Pcm, to_float
from kuaimei.audio.resample import resample_float
from kuaimei.engines.prosody.types import FRAME_MS

__all__ = ["FRAME", "Prepared", "prepare"]

FRAME: Final = round(ASR_RATE * FRAME_MS / 1000.0)
"""Samples between two levels."""


_BAND_RATE: Final = 7_000
"""Resampling through this rate keeps frequencies below 3.2 kHz, as much as a telephone passes, so that
every recording is measured in the same band."""
_RUMBLE_RATE: Final = 110
"""Resampling through this rate keeps frequencies below 50 Hz and DC: not voice, so they are subtracted."""
_REFERENCE_DB: Final = -20.0
_MOST_GAIN_DB: Final = 50.0
_SILENT_DB: Final = -120.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """Recording in the common form that makes measurements comparable.

    Attributes:
        samples: At 16 kHz, from 50 Hz to 3.2 kHz, its loud frames at −20 dBFS; shape ``(n,)``.
        levels_db: Root mean square of every 10 ms in dBFS; −120 for digital silence.
        empty: True if the recording is silent throughout.
    """

    samples: NDArray[np.float32] = field(repr=False)
    levels_db: NDArray[np.float64] = field(repr=False)
    empty: bool


def prepare(pcm: Pcm, rate: int) -> Prepared:
    """Return ``pcm`` (at ``rate`` Hz) in the common form."""
    samples = to_float(pcm)
    if len(samples):
        # A DC offset that starts with the recording would ring at its edges.
        samples = samples - np.median(samples)
    banded = resample_float(samples, rate, _BAND_RATE)
    narrow = resample_float(banded - _rumble(banded), _BAND_RATE, ASR_RATE)
    frames = len(narrow) // FRAME
    power = np.square(narrow[: frames * FRAME].reshape(frames, FRAME), dtype=np.float64).mean(axis=1)
    levels = 10.0 * np.log10(np.maximum(power, 10.0 ** (_SILENT_DB / 10.0)))
    # One 16-bit step up and down is −96 dBFS: a recording that stays near it is silent.
    if not frames or levels.max() < -90.0:
        return Prepared(narrow, levels, empty=True)
    gain_db = min(_REFERENCE_DB - float(np.percentile(levels, 95.0)), _MOST_GAIN_DB)
    gain_db = min(gain_db, -float(levels.max()))
    return Prepared(
        (narrow * np.float32(10.0 ** (gain_db / 20.0))).astype(np.float32),
        np.maximum(levels + gain_db, _SILENT_DB),
        empty=False,
    )


def _rumble(banded: NDArray[np.float32]) -> NDArray[np.float32]:
    slow = resample_float(resample_float(banded, _BAND_RATE, _RUMBLE_RATE), _RUMBLE_RATE, _BAND_RATE)
    fitted = np.zeros(len(banded), np.float32)
    known = min(len(banded), len(slow))
    fitted[:known] = slow[:known]
    return fitted
