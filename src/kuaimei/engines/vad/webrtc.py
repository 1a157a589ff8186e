"""WebRTC VAD: no weights, some microseconds a frame; the light alternative to Silero."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from kuaimei.audio.pcm import ASR_RATE, Pcm, to_bytes
from kuaimei.engines.protocols import VoiceActivityDetector
from kuaimei.engines.registry import EngineContext
from kuaimei.models.source import EngineSource

__all__ = ["WebRtcVad", "open_webrtc"]

_SUB_FRAME = ASR_RATE // 100
"""10 ms, the shortest frame it judges."""
_FRAME = 3 * _SUB_FRAME
_AGGRESSIVENESS = 3
"""0 (calls nearly everything speech) to 3 (the strictest about noise)."""
_NEW_SHARE = 0.7
"""Weight of the newest frame's vote against what was heard before: one stray vote of three stays
below the usual threshold of 0.5, three make speech at once."""


class _Detector(Protocol):
    def is_speech(self, buf: bytes, sample_rate: int) -> bool: ...


def _detector() -> _Detector:
    import webrtcvad  # type: ignore[import-untyped]

    detector: _Detector = webrtcvad.Vad(_AGGRESSIVENESS)
    return detector


class WebRtcVad:
    """One stream's detector: the share of 10 ms sub-frames called speech, smoothed."""

    frame_samples: int = _FRAME

    def __init__(self) -> None:
        self._vad = _detector()
        self._probability = 0.0

    def probability(self, frame: Pcm) -> float:
        """Probability in [0, 1] that ``frame`` (480 samples at 16 kHz) holds speech.

        Raises:
            ValueError: If the frame has another length.
        """
        if len(frame) != _FRAME:
            raise ValueError(f"a frame has {_FRAME} samples, not {len(frame)}")
        votes = sum(
            self._vad.is_speech(to_bytes(frame[start : start + _SUB_FRAME]), ASR_RATE)
            for start in range(0, _FRAME, _SUB_FRAME)
        )
        share = votes * _SUB_FRAME / _FRAME
        self._probability = _NEW_SHARE * share + (1.0 - _NEW_SHARE) * self._probability
        return self._probability

    def reset(self) -> None:
        """Forget what was heard: the noise estimate as well, for which only a new detector helps."""
        self._vad = _detector()
        self._probability = 0.0


@asynccontextmanager
async def open_webrtc(
    engine_context: EngineContext, source: EngineSource
) -> AsyncIterator[Callable[[], VoiceActivityDetector]]:
    """There is nothing to load."""
    yield WebRtcVad
