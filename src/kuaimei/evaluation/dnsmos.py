"""DNSMOS: predicts how listeners would rate the quality of speech, without a reference.

The networks are Microsoft's (MIT), trained on ratings of noise suppressors: P.835 (Reddy, Gopal and
Cutler, "DNSMOS P.835", ICASSP 2022) gives signal, background and overall, P.808 ("DNSMOS", ICASSP 2021)
one score. Both take 9.01 s at 16 kHz; shorter speech is repeated, longer speech is cut into windows a
second apart, and the means are returned, as its authors do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import ASR_RATE, Pcm, to_float
from kuaimei.audio.resample import resample
from kuaimei.engines.onnx_sessions import OnnxSession, open_session
from kuaimei.engines.speaker.features import slaney_filters
from kuaimei.errors import AudioError

__all__ = ["Dnsmos", "DnsmosScores", "load_dnsmos"]

_WINDOW: Final = int(9.01 * ASR_RATE)
_STEP: Final = ASR_RATE
_FFT: Final = 321
_HOP: Final = 160
_MELS: Final = 120
_FLOOR: Final = 1e-10
_RANGE_DB: Final = 80.0
_SIGNAL: Final = (-0.08397278, 1.22083953, 0.0052439)
_BACKGROUND: Final = (-0.13166888, 1.60915514, -0.39604546)
_OVERALL: Final = (-0.06766283, 1.11546468, 0.04602535)
"""Polynomials from the network's scale to that of the listeners, as published with it."""


@dataclass(frozen=True, slots=True)
class DnsmosScores:
    """Mean opinion scores from 1 (bad) to 5 (excellent).

    Attributes:
        overall: P.835 OVRL, the one to quote.
        signal: P.835 SIG: how undistorted the voice itself is.
        background: P.835 BAK: how little the background disturbs.
        p808: P.808: overall, by the older network.
    """

    overall: float
    signal: float
    background: float
    p808: float


class Dnsmos:
    """Predictor of mean opinion scores.

    Args:
        p835: ``input_1`` (1, 144160) to signal, background, overall.
        p808: ``input_1`` (1, frames, 120) to one score.
    """

    def __init__(self, p835: OnnxSession, p808: OnnxSession) -> None:
        self._p835 = p835
        self._p808 = p808
        self._filters = slaney_filters(ASR_RATE, _FFT, _MELS)

    def rate(self, pcm: Pcm, rate: int) -> DnsmosScores:
        """Predict the listeners' ratings of ``pcm``; blocks for some 20 ms a window.

        Raises:
            AudioError: If it is silent.
        """
        if not len(pcm) or not pcm.any():
            raise AudioError("silence cannot be rated")
        scores = np.array(
            [self._window(window) for window in _windows(to_float(resample(pcm, rate, ASR_RATE)))]
        )
        signal, background, overall, p808 = scores.mean(axis=0)
        return DnsmosScores(float(overall), float(signal), float(background), float(p808))

    def _window(self, samples: NDArray[np.float32]) -> tuple[float, float, float, float]:
        signal, background, overall = self._p835.run(None, {"input_1": samples[np.newaxis]})[0][0]
        features = log_mel(samples[:-_HOP], self._filters)
        p808 = self._p808.run(None, {"input_1": features[np.newaxis]})[0][0][0]
        return (
            float(np.polyval(_SIGNAL, signal)),
            float(np.polyval(_BACKGROUND, background)),
            float(np.polyval(_OVERALL, overall)),
            float(p808),
        )


def load_dnsmos(folder: Path) -> Dnsmos:
    """Load the networks in ``folder``, one thread each.

    Raises:
        WeightsError: If they are missing or damaged.
    """
    return Dnsmos(
        open_session(folder / "p835.onnx", threads=1), open_session(folder / "p808.onnx", threads=1)
    )


def log_mel(samples: NDArray[np.float32], filters: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the input of the P.808 network: dB below the loudest, scaled by ``(dB + 40) / 40``.

    Power spectrum of centred Hann windows of 321 samples every 160, as in ``librosa.feature.melspectrogram``.
    Shape ``(frames, 120)``.
    """
    padded = np.pad(samples, _FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    hann = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_FFT) / _FFT)).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(frames * hann, axis=1)))
    mel = power @ filters.T
    decibels = 10.0 * np.log10(np.maximum(mel, _FLOOR) / max(float(mel.max()), _FLOOR))
    features: NDArray[np.float32] = ((np.maximum(decibels, -_RANGE_DB) + 40.0) / 40.0).astype(np.float32)
    return features


def _windows(samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return windows of 9.01 s, a second apart; as many as the authors' own program takes."""
    while len(samples) < _WINDOW:
        samples = np.concatenate([samples, samples])
    count = max(1, len(samples) // _STEP - _WINDOW // _STEP)
    return [samples[at * _STEP : at * _STEP + _WINDOW] for at in range(count)]
