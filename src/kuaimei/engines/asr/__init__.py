"""Speech recognition: whole utterances (recognisers) and captions while somebody speaks."""

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
    """The recogniser shared by all conversations, warmed.

    Raises:
        SettingsError: If no such engine exists.
        WeightsError: On entering, if its weights cannot be loaded.
    """
    return find_factory("asr", RECOGNIZERS, source)(engine_context, source)


def open_captioner(
    engine_context: EngineContext, source: EngineSource
) -> AbstractAsyncContextManager[Captioner]:
    """What makes caption streams, warmed.

    Raises:
        SettingsError: If no such engine exists.
        WeightsError: On entering, if its weights cannot be loaded.
    """
    return find_factory("captions", CAPTIONERS, source)(engine_context, source)
