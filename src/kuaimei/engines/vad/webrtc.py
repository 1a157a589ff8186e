"""WebRTC VAD: no weights, a few microseconds per frame; the lightweight alternative to Silero."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from kuaimei.audio.pcm import ASR_RATE, Pcm, to_bytes
from kuaimei.engines.protocols import VoiceActivityDetector
from kuaimei.engines.registry import EngineContext
from kuaimei.models.source import EngineSource

__all__ = ["WebRtcVad", "open_webrtc"]

_SUB_FRAME = ASR_RATE // 100
"""10 ms, the shortest frame it accepts."""
_FRAME = 3 * _SUB_FRAME
_AGGRESSIVENESS = 3
"""0 (classifies nearly everything as speech) to 3 (rejects noise most strictly)."""
_NEW_SHARE = 0.7
"""Weight of the newest frame's vote against the earlier ones: one stray vote of three stays
below the usual threshold of 0.5, three make speech at once."""


class _Detector(Protocol):
    def is_speech(self, buf: bytes, sample_rate: int) -> bool: ...


def _detector() -> _Detector:
    import webrtcvad  # type: ignore[import-untyped]

    detector: _Detector = webrtcvad.Vad(_AGGRESSIVENESS)
    return detector


class WebRtcVad:
    """Detector of one stream: the share of 10 ms sub-frames classified as speech, smoothed."""

    frame_samples: int = _FRAME

    def __init__(self) -> None:
        self._vad = _detector()
        self._probability = 0.0

    def probability(self, frame: Pcm) -> float:
        """Return the probability in [0, 1] that ``frame`` (480 samples at 16 kHz) is speech.

        Raises:
            ValueError: If the frame has another length.
        """
        if len(frame) != _FRAME:
            raise ValueError(f"a frame must have {_FRAME} samples, not {len(frame)}")
        votes = sum(
            self._vad.is_speech(to_bytes(frame[start : start + _SUB_FRAME]), ASR_RATE)
            for start in range(0, _FRAME, _SUB_FRAME)
        )
        share = votes * _SUB_FRAME / _FRAME
        self._probability = _NEW_SHARE * share + (1.0 - _NEW_SHARE) * self._probability
        return self._probability

    def reset(self) -> None:
        """Reset the state, including the noise estimate, which requires a new detector."""
        self._vad = _detector()
        self._probability = 0.0


@asynccontextmanager
async def open_webrtc(
    engine_context: EngineContext, source: EngineSource
) -> AsyncIterator[Callable[[], VoiceActivityDetector]]:
    """Yield the detector factory; there are no weights to load."""
    yield WebRtcVad
