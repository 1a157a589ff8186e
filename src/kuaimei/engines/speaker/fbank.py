"""CAM++ and ERes2Net: a 192-dimensional speaker embedding from a clip of any length.

Both networks take Kaldi's filter bank. Weights: 3D-Speaker's (Alibaba, Apache-2.0), CAM++ trained on
200,000 Mandarin speakers, ERes2Net on VoxCeleb. CAM++ is a *loss* of voice training; ERes2Net is used
only for *evaluation*: nothing is fitted to it, so its scores of a trained voice are meaningful.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import ASR_RATE, Pcm, to_float
from kuaimei.audio.resample import resample
from kuaimei.engines.onnx_sessions import OnnxSession
from kuaimei.engines.speaker.features import fbank
from kuaimei.errors import AudioError

__all__ = ["FbankEncoder"]

_SHORTEST: Final = ASR_RATE
"""Minimum number of samples; shorter audio is repeated, because the networks compare moments in time."""
_LONGEST: Final = 30 * ASR_RATE
"""Maximum number of samples per run; longer audio is split evenly and its embeddings are averaged."""


class FbankEncoder:
    """Encoder based on Kaldi filter banks: CAM++ or ERes2Net.

    Args:
        name: ``campplus`` or ``eres2net``.
        session: The network, ``fbank`` (1, frames, 80) → ``embedding`` (1, 192).
    """

    def __init__(self, name: str, session: OnnxSession) -> None:
        self.name = name
        self._session = session

    def embed(self, pcm: Pcm, rate: int) -> NDArray[np.float32]:
        """See `kuaimei.engines.speaker.SpeakerEncoder.embed`; shape ``(192,)``."""
        samples = to_float(resample(pcm, rate, ASR_RATE))
        if not samples.any():
            raise AudioError("the recording is silent: no speaker embedding can be computed")
        if len(samples) < _SHORTEST:
            samples = np.resize(samples, _SHORTEST)
        total = np.zeros(0, np.float32)
        for part in np.array_split(samples, -(-len(samples) // _LONGEST)):
            one = self._session.run(None, {"fbank": fbank(part)[np.newaxis]})[0][0]
            total = one / np.linalg.norm(one) + (total if len(total) else 0.0)
        whole: NDArray[np.float32] = (total / np.linalg.norm(total)).astype(np.float32)
        return whole
