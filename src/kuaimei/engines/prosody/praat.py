"""Extractor of pitch and voice quality based on Praat itself (praat-parselmouth, GPL-3)."""

import logging
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.engines.import_lock import importing
from kuaimei.engines.prosody.types import FRAME_MS, VoiceQuality
from kuaimei.errors import SettingsError

__all__ = ["PraatMeter"]

_log = logging.getLogger(__name__)

_STEP_S: Final = FRAME_MS / 1000.0
_LOWEST_HZ: Final = 60.0
_HIGHEST_HZ: Final = 500.0
_PERIODS: Final = (0.0001, 0.02, 1.3)
"""Shortest and longest period in s, and maximum factor between neighbours: Praat's defaults."""
_AMPLITUDE_FACTOR: Final = 1.6
_QUIET: Final = 0.1
"""Level relative to the loudest; softer frames have no harmonicity. Praat's default."""
_WINDOW_PERIODS: Final = 1.0
_UNVOICED_DB: Final = -200.0


class PraatMeter:
    """Praat's "To Pitch (cc)", "To PointProcess (periodic, cc)" and "To Harmonicity (cc)".

    Jitter and shimmer are its local variants, HNR is the mean of all frames that have one.

    Raises:
        SettingsError: If parselmouth is not installed.
    """

    name = "praat"

    def __init__(self) -> None:
        try:
            with importing():
                import parselmouth
                from parselmouth.praat import call
        except ImportError as error:
            raise SettingsError(
                "the meter praat is not installed; run: pip install 'kuaimei[praat]'"
            ) from error
        _log.warning(
            "speech is analysed with Praat, which is licensed under the GPL-3: note this if you redistribute "
            "kuaimei"
        )
        self._sound: Any = parselmouth.Sound
        self._error: type[Exception] = parselmouth.PraatError
        self._call: Any = call

    def voice(self, samples: NDArray[np.float32], rate: int) -> VoiceQuality:
        """Measure the phonation in ``samples``; about 3 % of their length on one core."""
        frames = int(len(samples) / (rate * _STEP_S))
        f0_hz = np.zeros(frames, np.float32)
        if not len(samples) or not np.any(samples):
            return VoiceQuality(f0_hz)
        sound = self._sound(samples.astype(np.float64), rate)
        try:
            pitch = self._call(
                sound, "To Pitch (cc)", _STEP_S, _LOWEST_HZ, 15, "no",
                0.03, 0.45, 0.01, 0.35, 0.14, _HIGHEST_HZ,
            )  # fmt: skip
            points = self._call(sound, "To PointProcess (periodic, cc)", _LOWEST_HZ, _HIGHEST_HZ)
            jitter = self._call(points, "Get jitter (local)", 0, 0, *_PERIODS)
            shimmer = self._call([sound, points], "Get shimmer (local)", 0, 0, *_PERIODS, _AMPLITUDE_FACTOR)
            harmonicity = self._call(
                sound, "To Harmonicity (cc)", _STEP_S, _LOWEST_HZ, _QUIET, _WINDOW_PERIODS
            )
        except self._error:  # shorter than its windows
            return VoiceQuality(f0_hz)
        found, times = pitch.selected_array["frequency"], pitch.xs()
        # Praat's frames are centred in the sound, ours lie on a grid from the beginning.
        middles = (np.arange(frames) + 0.5) * _STEP_S
        nearest = np.rint((middles - times[0]) / _STEP_S).astype(np.int64)
        inside = (nearest >= 0) & (nearest < len(found))
        f0_hz[inside] = found[nearest[inside]]
        ratio = float(self._call(harmonicity, "Get mean", 0, 0))
        return VoiceQuality(f0_hz, jitter=_known(jitter), shimmer=_known(shimmer), hnr_db=_known(ratio))


def _known(value: float) -> float | None:
    """Return ``value``, or None where Praat returns "undefined" (NaN) or the value for unvoiced sound."""
    return None if math.isnan(value) or value <= _UNVOICED_DB else float(value)
