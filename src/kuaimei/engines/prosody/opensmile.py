"""Extractor based on openSMILE's eGeMAPSv02 (audEERING; research licence, no commercial use)."""

import logging
import math
import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.import_lock import importing
from kuaimei.engines.prosody.types import FRAME_MS, VoiceQuality
from kuaimei.errors import SettingsError

__all__ = ["OpenSmileMeter"]

_log = logging.getLogger(__name__)

_LEAST_S: Final = 0.1
"""Minimum length: openSMILE uses windows of 60 ms."""
_LEAD: Final = 3
"""Offset of its frames: its first F0 frame is centred on 30 ms, nearest to our fourth (35 ms), as measured
with a glide."""
_FROM_HZ: Final = 27.5
_FROM_DB: Final = math.log(10.0) / 20.0
"""Factor from dB to a relative change: a small change of d dB is one of d ln(10) / 20."""


class OpenSmileMeter:
    """Means over the voiced frames of eGeMAPSv02 (Eyben et al., IEEE Trans. Affective Computing 7, 2016).

    Its definitions differ from the others': jitter and shimmer are computed within windows of 60 ms and
    smoothed over three of them, and HNR comes from an autocorrelation that is not divided by that of its
    window, so that even a perfect voice has no more than 6 to 16 dB, increasing with its pitch.

    Raises:
        SettingsError: If opensmile is not installed.
    """

    name = "opensmile"

    def __init__(self) -> None:
        try:
            with importing():
                import opensmile
        except ImportError as error:
            raise SettingsError(
                "the meter opensmile is not installed; run: pip install 'kuaimei[opensmile]'"
            ) from error
        _log.warning(
            "speech is analysed with openSMILE, which is licensed for research only: no commercial use"
        )
        self._smile: Any = opensmile.Smile(
            feature_set=opensmile.FeatureSet.eGeMAPSv02,
            feature_level=opensmile.FeatureLevel.LowLevelDescriptors,
        )
        self._lock = threading.Lock()

    def voice(self, samples: NDArray[np.float32], rate: int) -> VoiceQuality:
        """Measure the phonation in ``samples``; about 2 % of their length on one core."""
        frames = int(len(samples) * 1000.0 / (rate * FRAME_MS))
        f0_hz = np.zeros(frames, np.float32)
        if len(samples) < _LEAST_S * rate or not np.any(samples):
            return VoiceQuality(f0_hz)
        with self._lock:
            table = self._smile.process_signal(samples, rate)
        semitones = table["F0semitoneFrom27.5Hz_sma3nz"].to_numpy(np.float64)
        voiced = semitones > 0
        found = np.where(voiced, _FROM_HZ * 2.0 ** (semitones / 12.0), 0.0)
        known = min(len(found), frames - _LEAD)
        f0_hz[_LEAD : _LEAD + known] = found[:known]
        if not voiced.any():
            return VoiceQuality(f0_hz)
        shimmer_db = _mean(table["shimmerLocaldB_sma3nz"].to_numpy(np.float64)[voiced])
        return VoiceQuality(
            f0_hz,
            jitter=_mean(table["jitterLocal_sma3nz"].to_numpy(np.float64)[voiced]),
            shimmer=None if shimmer_db is None else shimmer_db * _FROM_DB,
            hnr_db=_mean(table["HNRdBACF_sma3nz"].to_numpy(np.float64)[voiced]),
        )


def _mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean of the measured values; 0 stands for a missing value."""
    measured = values[values != 0.0]
    return float(measured.mean()) if len(measured) else None
