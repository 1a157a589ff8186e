"""Language models: the embedded llama.cpp, or any server with the OpenAI API."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from kuaimei.engines.llm.llama import open_llama
from kuaimei.engines.llm.openai import open_openai
from kuaimei.engines.protocols import LanguageModel
from kuaimei.engines.registry import EngineContext, Factory, find_factory
from kuaimei.models.source import EngineSource

__all__ = ["LANGUAGE_MODELS", "open_language_model"]

LANGUAGE_MODELS: Mapping[str, Factory[LanguageModel]] = {"llama": open_llama, "openai": open_openai}


def open_language_model(
    engine_context: EngineContext, source: EngineSource
) -> AbstractAsyncContextManager[LanguageModel]:
    """Open the language model shared by all conversations, warmed up.

    Raises:
        SettingsError: If no such engine exists.
        WeightsError: On entering, if its weights cannot be loaded.
    """
    return find_factory("llm", LANGUAGE_MODELS, source)(engine_context, source)
