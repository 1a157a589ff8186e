"""Extractor that takes F0 from librosa's YIN and the rest from the periods themselves.

librosa: ISC licence. Its pYIN would also detect voiced frames, but takes at least ten times as long.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.resample import resample_float
from kuaimei.engines.import_lock import importing
from kuaimei.engines.prosody.harmonicity import period_correlation
from kuaimei.engines.prosody.numpy_meter import quality
from kuaimei.engines.prosody.perturbation import RATE
from kuaimei.engines.prosody.types import FRAME_MS, VoiceQuality
from kuaimei.errors import SettingsError

__all__ = ["LibrosaMeter"]

_HOP: Final = round(RATE * FRAME_MS / 1000.0)
_LOWEST_HZ: Final = 60.0
_HIGHEST_HZ: Final = 500.0
_FRAME: Final = 1_024
_VOICED: Final = 0.5
"""Frames with a lower period correlation are unvoiced: YIN itself gives every frame a pitch."""
_QUIET_DB: Final = -35.0
"""Frames this far below the loudest are unvoiced, too."""


class LibrosaMeter:
    """Pitch by librosa's YIN (de Cheveigné and Kawahara 2002).

    Raises:
        SettingsError: If librosa is not installed.
    """

    name = "librosa"

    def __init__(self) -> None:
        try:
            with importing():
                import librosa
        except ImportError as error:
            raise SettingsError(
                "the meter librosa is not installed; run: pip install 'kuaimei[librosa]'"
            ) from error
        self._yin: Any = librosa.yin

    def voice(self, samples: NDArray[np.float32], rate: int) -> VoiceQuality:
        """Measure the phonation in ``samples``; see `VoiceQualityExtractor.voice`."""
        common = resample_float(samples, rate, RATE)
        frames = len(common) // _HOP
        levels = _levels_db(common, frames)
        audible = np.flatnonzero(levels > max(float(levels.max(initial=-120.0)) + _QUIET_DB, -110.0))
        f0_hz = np.zeros(frames, np.float32)
        if not len(audible):
            return VoiceQuality(f0_hz)
        # librosa's frames are centred on their beginnings, ours on their middles: the shift aligns them.
        shifted = np.concatenate([common[_HOP // 2 :], np.zeros(_HOP // 2, np.float32)])
        found = self._yin(
            shifted,
            fmin=_LOWEST_HZ,
            fmax=_HIGHEST_HZ,
            sr=RATE,
            frame_length=_FRAME,
            hop_length=_HOP,
        )[:frames]
        voiced = audible[period_correlation(common, found.astype(np.float32), audible) >= _VOICED]
        f0_hz[voiced] = found[voiced]
        return quality(common, f0_hz)


def _levels_db(samples: NDArray[np.float32], frames: int) -> NDArray[np.float64]:
    power = np.square(samples[: frames * _HOP].reshape(frames, _HOP), dtype=np.float64).mean(axis=1)
    levels: NDArray[np.float64] = 10.0 * np.log10(np.maximum(power, 1e-12))
    return levels
