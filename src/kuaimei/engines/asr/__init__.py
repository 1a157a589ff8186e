"""Speech recognition: recognizers of whole utterances and captioners for speech in progress."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from kuaimei.engines.asr.openai import open_openai
from kuaimei.engines.asr.vosk import open_vosk
from kuaimei.engines.asr.whisper import open_whisper
from kuaimei.engines.protocols import Captioner, Recognizer
from kuaimei.engines.registry import EngineContext, Factory, find_factory
from kuaimei.models.source import EngineSource

__all__ = ["CAPTIONERS", "RECOGNIZERS", "open_captioner", "open_recognizer"]

RECOGNIZERS: Mapping[str, Factory[Recognizer]] = {"whisper": open_whisper, "openai": open_openai}
CAPTIONERS: Mapping[str, Factory[Captioner]] = {"vosk": open_vosk}


def open_recognizer(
    engine_context: EngineContext, source: EngineSource
) -> AbstractAsyncContextManager[Recognizer]:
    """Open the recognizer shared by all conversations, warmed up.

    Raises:
        SettingsError: If no such engine exists.
        WeightsError: On entering, if its weights cannot be loaded.
    """
    return find_factory("asr", RECOGNIZERS, source)(engine_context, source)


def open_captioner(
    engine_context: EngineContext, source: EngineSource
) -> AbstractAsyncContextManager[Captioner]:
    """Open the captioner, which creates caption streams, warmed up.

    Raises:
        SettingsError: If no such engine exists.
        WeightsError: On entering, if its weights cannot be loaded.
    """
    return find_factory("captions", CAPTIONERS, source)(engine_context, source)
