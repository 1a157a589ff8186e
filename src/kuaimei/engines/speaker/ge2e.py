"""GE2E: a 256-dimensional speaker embedding from 1.6 s windows of speech.

Weights: Resemblyzer's (Resemble AI, Apache-2.0); this code follows that package's preprocessing: audio
quieter than -30 dBFS is raised to that level, pauses are shortened, then half-overlapping windows of 1.6 s
are embedded and averaged. It is a *loss*: voices are fitted to it, so a high similarity by it alone proves
nothing (two different people easily score 0.75).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import ASR_RATE, Pcm, from_float, to_bytes, to_float
from kuaimei.audio.resample import resample
from kuaimei.engines.onnx_sessions import OnnxSession
from kuaimei.engines.speaker.features import power_mel
from kuaimei.errors import AudioError

__all__ = ["Ge2e", "shorten_pauses"]

_FRAMES: Final = 160
"""Frames of a window: 1.6 s."""
_STEP: Final = 77
"""Frames from one window to the next: 1.3 windows a second."""
_COVERAGE: Final = 0.75
"""Minimum share of the last window that audio must cover; otherwise the window is dropped."""
_TARGET_DBFS: Final = -30.0
_VAD_FRAME: Final = ASR_RATE * 30 // 1000
_SMOOTH: Final = 8
"""Number of 30 ms frames over which the VAD decisions are averaged."""
_SPREAD: Final = 3
"""Frames of a pause kept at either end of speech."""
_BATCH: Final = 64
"""Windows per run, which bounds the memory: ten minutes need 780."""


class Ge2e:
    """GE2E speaker encoder.

    Args:
        session: The network, ``mels`` (n, 160, 40) → ``embedding`` (n, 256).
    """

    name: str = "ge2e"

    def __init__(self, session: OnnxSession) -> None:
        self._session = session

    def embed(self, pcm: Pcm, rate: int) -> NDArray[np.float32]:
        """See `kuaimei.engines.speaker.SpeakerEncoder.embed`; shape ``(256,)``."""
        samples = to_float(resample(pcm, rate, ASR_RATE))
        level = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
        if level == 0.0:
            raise AudioError("the recording is silent: no speaker embedding can be computed")
        samples = samples * np.float32(max(1.0, 10.0 ** (_TARGET_DBFS / 20.0) / level))
        samples = shorten_pauses(samples)
        starts = _window_starts(len(samples))
        wanted = (starts[-1] + _FRAMES) * (ASR_RATE // 100)
        mels = power_mel(np.pad(samples, (0, max(0, wanted - len(samples)))))
        windows = np.stack([mels[start : start + _FRAMES] for start in starts])
        parts = [
            self._session.run(None, {"mels": windows[first : first + _BATCH]})[0]
            for first in range(0, len(windows), _BATCH)
        ]
        mean = np.concatenate(parts).mean(axis=0)
        whole: NDArray[np.float32] = (mean / np.linalg.norm(mean)).astype(np.float32)
        return whole


def _window_starts(samples: int) -> list[int]:
    """Return the first frames of the windows; always at least one."""
    hop = ASR_RATE // 100
    frames = -(-(samples + 1) // hop)
    starts = list(range(0, max(1, frames - _FRAMES + _STEP + 1), _STEP))
    covered = (samples - starts[-1] * hop) / (_FRAMES * hop)
    return starts[:-1] if covered < _COVERAGE and len(starts) > 1 else starts


def shorten_pauses(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``samples`` (16 kHz) without silence beyond 0.2 s per pause; unchanged if there is no speech."""
    import webrtcvad  # type: ignore[import-untyped]

    vad = webrtcvad.Vad(3)
    whole = samples[: len(samples) - len(samples) % _VAD_FRAME]
    frames = from_float(whole).reshape(-1, _VAD_FRAME)
    spoken = np.array([vad.is_speech(to_bytes(frame), ASR_RATE) for frame in frames], dtype=np.float64)
    if not spoken.any():
        return samples
    padded = np.pad(spoken, ((_SMOOTH - 1) // 2, _SMOOTH // 2))
    smooth = np.rint(np.convolve(padded, np.full(_SMOOTH, 1.0 / _SMOOTH), mode="valid"))
    kept = np.convolve(smooth, np.ones(2 * _SPREAD + 1), mode="same")[: len(spoken)] > 0.5
    if not kept.any():
        return samples
    speech: NDArray[np.float32] = whole.reshape(-1, _VAD_FRAME)[kept].reshape(-1)
    return speech
