"""Voice activity detection: decides frame by frame whether audio is speech."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from kuaimei.engines.protocols import VoiceActivityDetector
from kuaimei.engines.registry import EngineContext, Factory, find_factory
from kuaimei.engines.vad.silero import open_silero
from kuaimei.engines.vad.webrtc import open_webrtc
from kuaimei.models.source import EngineSource

__all__ = ["ENGINES", "open_vad"]

ENGINES: Mapping[str, Factory[Callable[[], VoiceActivityDetector]]] = {
    "silero": open_silero,
    "webrtc": open_webrtc,
}


def open_vad(
    engine_context: EngineContext, source: EngineSource
) -> AbstractAsyncContextManager[Callable[[], VoiceActivityDetector]]:
    """Open a factory of detectors, one for each audio stream; weights are loaded once and shared.

    Raises:
        SettingsError: If no such engine exists.
        WeightsError: On entering, if its weights cannot be loaded.
    """
    return find_factory("vad", ENGINES, source)(engine_context, source)
