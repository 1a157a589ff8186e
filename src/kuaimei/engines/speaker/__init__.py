"""Speaker encoders: how a voice sounds, whatever it says, as a direction in space.

* ``ge2e``: a loss, and what styles are predicted from. Weights of Resemblyzer 0.1.4 (Resemble AI,
  Apache-2.0); code ours, after Wan et al. 2018.
* ``campplus``: a loss. Weights ``campplus_cn_common`` of 3D-Speaker (Alibaba, Apache-2.0); code ours,
  after 3D-Speaker's (Apache-2.0).
* ``eres2net``: the judge, and nothing else. Weights ``eres2net_sv_en_voxceleb_16k`` of 3D-Speaker (Alibaba,
  Apache-2.0); code ours, after 3D-Speaker's (Apache-2.0).

An encoder is a loss or a judge, never both: a voice fitted to an encoder pleases that encoder. All three
are converted from their checkpoints to ONNX when they are pulled (`kuaimei.models.convert.speaker_onnx`), without torch.
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
"""What styles are predicted from and voices are learned through."""
EVAL_ENCODER: Final = "eres2net"
"""Never one of them."""


class SpeakerEncoder(Protocol):
    """Hears who speaks; blocking, and safe to call from several threads."""

    name: str
    """``ge2e``, ``campplus`` or ``eres2net``."""

    def embed(self, pcm: Pcm, rate: int) -> NDArray[np.float32]:
        """The voice in ``pcm`` as a vector of length 1, shape ``(d,)``.

        The dot product of two of the same encoder is their cosine: 1 the same, about 0 unrelated.

        Args:
            pcm: Mono speech, best 3 s or more.
            rate: In Hz.

        Raises:
            AudioError: If there is no sound in it.
        """
        ...


class _HasModelMeta(OnnxSession, Protocol):
    """What onnxruntime's session has besides `Session`."""

    def get_modelmeta(self) -> Any: ...


def open_encoder(path: Path, threads: int = 1) -> SpeakerEncoder:
    """Load the encoder at ``path``: a folder of the catalogue, or its ``model.onnx``.

    Raises:
        WeightsError: If there is none, or it is of another kind.
    """
    file = path / "model.onnx" if path.is_dir() else path
    session = open_session(file, threads=threads)
    name = str(cast(_HasModelMeta, session).get_modelmeta().graph_name)
    if name == Ge2e.name:
        return Ge2e(session)
    if name in ("campplus", "eres2net"):
        return FbankEncoder(name, session)
    raise WeightsError(f"{file} is not a speaker encoder; run: kuaimei models pull ge2e campplus eres2net")
