"""Speech synthesis."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from kuaimei.engines.protocols import Synthesizer
from kuaimei.engines.registry import Factory, Workshop, choose
from kuaimei.engines.tts.kokoro import open_kokoro
from kuaimei.engines.tts.openai import open_openai
from kuaimei.models.source import Source

__all__ = ["SYNTHESIZERS", "open_synthesizer"]

SYNTHESIZERS: Mapping[str, Factory[Synthesizer]] = {"kokoro": open_kokoro, "openai": open_openai}


def open_synthesizer(workshop: Workshop, source: Source) -> AbstractAsyncContextManager[Synthesizer]:
    """The synthesiser shared by all conversations, warmed.

    Raises:
        SettingsError: If no such engine exists.
        WeightsError: On entering, if its weights cannot be loaded.
    """
    return choose("tts", SYNTHESIZERS, source)(workshop, source)
