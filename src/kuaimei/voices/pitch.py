"""The range in which a voice speaks."""

from typing import Final

import numpy as np

from kuaimei.audio.pcm import Pcm, to_float
from kuaimei.voices.learning.pitch import log_statistics, track_pitch
from kuaimei.voices.types import Pitch

__all__ = ["pitch_of"]

_HOP_S: Final = 0.01
_FEWEST: Final = 20
"""Voiced frames."""


def pitch_of(pcm: Pcm, rate: int) -> Pitch | None:
    """Mean and range of F0 in ``pcm``; None if hardly anything in it is voiced. Blocks."""
    track = track_pitch(to_float(pcm), rate, _HOP_S)
    voiced = track[track > 0]
    statistics = log_statistics(track)
    if statistics is None or len(voiced) < _FEWEST:
        return None
    low, high = np.percentile(voiced, (5.0, 95.0))
    mean, spread = statistics
    return Pitch(
        mean_hz=round(float(np.exp(mean)), 1),
        low_hz=round(float(low), 1),
        high_hz=round(float(high), 1),
        log_sd=round(spread, 3),
    )
