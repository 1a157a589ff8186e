"""Smart Turn v3: a Whisper encoder that predicts from the audio whether a turn is complete.

The network reads the last 8 s. Shorter speech is padded on the left, because the end is what
counts; the samples are normalized to zero mean and unit variance over the padded 8 s, and then
converted to Whisper's log-mel features, as in its training.

It is most accurate about 0.1 s into the silence: with more silence it calls more turns complete, rightly or
not (0.13 → 0.14 → 0.30 → 0.88 → 0.82 for one broken-off clip after 0, 0.1, 0.2, 0.4, 0.7 s).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import ASR_RATE, Pcm, to_float
from kuaimei.engines.executor import run_on_cores
from kuaimei.engines.import_lock import importing
from kuaimei.engines.onnx_sessions import OnnxSession, open_session
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Priority, Ticket
from kuaimei.errors import WeightsError
from kuaimei.models.source import EngineSource
from kuaimei.system.memory import release_freed

__all__ = ["SmartTurn", "open_smart_turn", "window"]

_WINDOW_S = 8
_WINDOW = _WINDOW_S * ASR_RATE
_FRAMES = _WINDOW // 160
_PATIENCE_S = 0.25
"""Deadline in seconds: a later answer is useless, because the silence has decided by then."""


class _Features(Protocol):
    def __call__(self, waveform: NDArray[np.float32], padding: int = 160) -> NDArray[np.float32]: ...


def window(speech: Pcm) -> NDArray[np.float32]:
    """Return the last 8 s of ``speech`` (16 kHz), left-padded and standardized; shape ``(128000,)``."""
    samples = np.zeros(_WINDOW, dtype=np.float32)
    tail = to_float(speech[-_WINDOW:])
    if len(tail):
        samples[-len(tail) :] = tail
    normal: NDArray[np.float32] = (samples - samples.mean()) / np.sqrt(samples.var() + np.float32(1e-7))
    return normal


class SmartTurn:
    """Turn detector shared by all conversations.

    Args:
        session: The network: ``input_features`` (1, 80, 800) to the probability of completeness.
        features: Whisper's log-mel extractor.
        cores: Scheduler, used with one core and ahead of all speculative requests.
    """

    def __init__(self, session: OnnxSession, features: _Features, cores: Scheduler) -> None:
        self._session = session
        self._features = features
        self._cores = cores

    async def completeness(self, speech: Pcm) -> float:
        """Return the probability in [0, 1] that the turn ends with ``speech`` (16 kHz; last 8 s count).

        Raises:
            QueueFull: If no core was free in time; the silence then decides alone.
        """
        ticket = Ticket(
            session="turn",
            priority=Priority.LIVE,
            deadline=asyncio.get_running_loop().time() + _PATIENCE_S,
        )
        return await run_on_cores(self._cores, ticket, 1, self.judge, speech)

    def judge(self, speech: Pcm) -> float:
        """Compute `completeness` at once, on the calling thread."""
        mel = self._features(window(speech), padding=0)[:, :_FRAMES]
        (probability,) = self._session.run(
            None, {"input_features": np.ascontiguousarray(mel[None], dtype=np.float32)}
        )
        return float(np.clip(probability.item(), 0.0, 1.0))


def _load(path: Path, cores: Scheduler) -> SmartTurn:
    with importing():
        from faster_whisper.feature_extractor import FeatureExtractor  # type: ignore[import-untyped]

    session = open_session(path / "model.onnx" if path.is_dir() else path, threads=1)
    detector = SmartTurn(session, FeatureExtractor(chunk_length=_WINDOW_S), cores)
    detector.judge(np.zeros(ASR_RATE, dtype=np.int16))
    release_freed()
    return detector


@asynccontextmanager
async def open_smart_turn(engine_context: EngineContext, source: EngineSource) -> AsyncIterator[SmartTurn]:
    """Load and warm up the network."""
    if source.path is None:
        raise WeightsError(f"the weights of {source.name} are not installed; run: kuaimei models pull")
    yield await asyncio.to_thread(_load, source.path, engine_context.cores)
