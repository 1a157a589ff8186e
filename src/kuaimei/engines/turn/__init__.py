"""Endpointing: decides whether the speaker has finished or only paused."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from kuaimei.engines.protocols import TurnDetector
from kuaimei.engines.registry import EngineContext, Factory, find_factory
from kuaimei.engines.turn.smart_turn import open_smart_turn
from kuaimei.models.source import EngineSource

__all__ = ["ENGINES", "open_turn_detector"]

ENGINES: Mapping[str, Factory[TurnDetector]] = {"smart-turn": open_smart_turn}


def open_turn_detector(
    engine_context: EngineContext, source: EngineSource
) -> AbstractAsyncContextManager[TurnDetector]:
    """Open the detector shared by all conversations, warmed up.

    Raises:
        SettingsError: If no such engine exists.
        WeightsError: On entering, if its weights cannot be loaded.
    """
    return find_factory("turn", ENGINES, source)(engine_context, source)
