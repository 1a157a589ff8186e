"""Silero VAD v6, frame by frame.

The ONNX file inside the faster-whisper package takes frames of 512 samples at 16 kHz, each preceded
by the last 64 samples of the previous one, and an LSTM state that it returns. faster-whisper itself
runs whole recordings through it; here the state is carried from call to call, which gives the same
numbers for a stream.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm, to_float
from kuaimei.engines.onnx_sessions import OnnxSession, open_session
from kuaimei.engines.protocols import VoiceActivityDetector
from kuaimei.engines.registry import EngineContext
from kuaimei.errors import WeightsError
from kuaimei.models.source import EngineSource

__all__ = ["SileroVad", "load_silero", "open_silero"]

_FRAME = 512
_CONTEXT = 64
_STATE = (1, 1, 128)
_ASSET = "silero_vad_v6.onnx"


class SileroVad:
    """Detector of one stream.

    Args:
        session: The network, shared by all streams (it keeps no state of its own).
    """

    frame_samples: int = _FRAME

    def __init__(self, session: OnnxSession) -> None:
        self._session = session
        self._input: NDArray[np.float32] = np.zeros((1, _CONTEXT + _FRAME), dtype=np.float32)
        self._hidden: NDArray[np.float32] = np.zeros(_STATE, dtype=np.float32)
        self._cell: NDArray[np.float32] = np.zeros(_STATE, dtype=np.float32)

    def probability(self, frame: Pcm) -> float:
        """Return the probability in [0, 1] that ``frame`` (512 samples at 16 kHz) is speech.

        Raises:
            ValueError: If the frame has another length.
        """
        if len(frame) != _FRAME:
            raise ValueError(f"a frame must have {_FRAME} samples, not {len(frame)}")
        self._input[0, :_CONTEXT] = self._input[0, -_CONTEXT:]
        self._input[0, _CONTEXT:] = to_float(frame)
        probability, self._hidden, self._cell = self._session.run(
            None, {"input": self._input, "h": self._hidden, "c": self._cell}
        )
        return float(probability.item())

    def reset(self) -> None:
        """Reset the state, as before the first frame."""
        self._input[:] = 0.0
        self._hidden = np.zeros(_STATE, dtype=np.float32)
        self._cell = np.zeros(_STATE, dtype=np.float32)


def load_silero(path: Path | None = None) -> OnnxSession:
    """Load the network from ``path``, or the one that comes with faster-whisper.

    Raises:
        WeightsError: If it cannot be loaded.
    """
    if path is not None:
        return open_session(path / "model.onnx" if path.is_dir() else path, threads=1)
    asset = files("faster_whisper").joinpath("assets", _ASSET)
    if not asset.is_file():
        raise WeightsError(
            f"the installed faster-whisper does not contain {_ASSET}; reinstall the pinned requirements"
        )
    with as_file(asset) as packaged:
        return open_session(packaged, threads=1)


@asynccontextmanager
async def open_silero(
    engine_context: EngineContext, source: EngineSource
) -> AsyncIterator[Callable[[], VoiceActivityDetector]]:
    """Load the network once; every stream then gets a detector with its own state."""
    session = await asyncio.to_thread(load_silero, source.path)
    await asyncio.to_thread(SileroVad(session).probability, np.zeros(_FRAME, dtype=np.int16))
    yield partial(SileroVad, session)
