"""Speech synthesis."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from kuaimei.engines.protocols import Synthesizer
from kuaimei.engines.registry import EngineContext, Factory, find_factory
from kuaimei.engines.tts.kokoro import open_kokoro
from kuaimei.engines.tts.openai import open_openai
from kuaimei.models.source import EngineSource

__all__ = ["SYNTHESIZERS", "open_synthesizer"]

SYNTHESIZERS: Mapping[str, Factory[Synthesizer]] = {"kokoro": open_kokoro, "openai": open_openai}


def open_synthesizer(
    engine_context: EngineContext, source: EngineSource
) -> AbstractAsyncContextManager[Synthesizer]:
    """Open the synthesizer shared by all conversations, warmed up.

    Raises:
        SettingsError: If no such engine exists.
        WeightsError: On entering, if its weights cannot be loaded.
    """
    return find_factory("tts", SYNTHESIZERS, source)(engine_context, source)
