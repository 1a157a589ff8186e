"""Speaker encoders: map speech to a vector that depends on the voice and not on the words.

* ``ge2e``: used as a loss and for predicting styles. Weights of Resemblyzer 0.1.4 (Resemble AI,
  Apache-2.0); code ours, after Wan et al. 2018.
* ``campplus``: used as a loss. Weights ``campplus_cn_common`` of 3D-Speaker (Alibaba, Apache-2.0); code
  ours, after 3D-Speaker's (Apache-2.0).
* ``eres2net``: used for evaluation only. Weights ``eres2net_sv_en_voxceleb_16k`` of 3D-Speaker (Alibaba,
  Apache-2.0); code ours, after 3D-Speaker's (Apache-2.0).

An encoder serves training or evaluation, never both: a voice fitted to an encoder scores well with that
encoder. `kuaimei.models.convert.speaker_onnx` converts all three from their checkpoints to ONNX when they
are pulled, without torch.
"""

from pathlib import Path
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.onnx_sessions import OnnxSession, open_session
from kuaimei.engines.speaker.fbank import FbankEncoder
from kuaimei.engines.speaker.ge2e import Ge2e
from kuaimei.errors import WeightsError

__all__ = ["EVAL_ENCODER", "TRAINING_ENCODERS", "SpeakerEncoder", "open_encoder"]

TRAINING_ENCODERS: Final = ("ge2e", "campplus")
"""Encoders that styles are predicted from and voices are trained with."""
EVAL_ENCODER: Final = "eres2net"
"""Encoder for evaluation, never used in training."""


class SpeakerEncoder(Protocol):
    """Computes speaker embeddings; blocking, and safe to call from several threads."""

    name: str
    """``ge2e``, ``campplus`` or ``eres2net``."""

    def embed(self, pcm: Pcm, rate: int) -> NDArray[np.float32]:
        """Return the embedding of the voice in ``pcm``, a vector of length 1, shape ``(d,)``.

        The dot product of two embeddings of one encoder is their cosine: 1 identical, about 0 unrelated.

        Args:
            pcm: Mono speech, ideally 3 s or more.
            rate: Sample rate in Hz.

        Raises:
            AudioError: If the audio is silent.
        """
        ...


class _HasModelMeta(OnnxSession, Protocol):
    """onnxruntime session, including the model metadata."""

    def get_modelmeta(self) -> Any: ...


def open_encoder(path: Path, threads: int = 1) -> SpeakerEncoder:
    """Load the encoder at ``path``: a folder of the catalogue, or its ``model.onnx``.

    Raises:
        WeightsError: If it is missing or is not one of the speaker encoders.
    """
    file = path / "model.onnx" if path.is_dir() else path
    session = open_session(file, threads=threads)
    name = str(cast(_HasModelMeta, session).get_modelmeta().graph_name)
    if name == Ge2e.name:
        return Ge2e(session)
    if name in ("campplus", "eres2net"):
        return FbankEncoder(name, session)
    raise WeightsError(f"{file} is not a speaker encoder; run: kuaimei models pull ge2e campplus eres2net")
