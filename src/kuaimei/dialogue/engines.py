"""Engines of a conversation, typed by their Protocols only."""

from collections.abc import Callable
from dataclasses import dataclass

from kuaimei.engines.protocols import (
    Captioner,
    LanguageModel,
    Recognizer,
    Synthesizer,
    TurnDetector,
    VoiceActivityDetector,
)

__all__ = ["Engines"]


@dataclass(frozen=True, slots=True)
class Engines:
    """Speech and language engines, shared by all conversations.

    Attributes:
        vad: Creates a voice activity detector for one audio stream.
        captioner: None: no captions during speech.
        turn_detector: None: silence alone ends a turn.
    """

    vad: Callable[[], VoiceActivityDetector]
    recognizer: Recognizer
    language_model: LanguageModel
    synthesizer: Synthesizer
    captioner: Captioner | None = None
    turn_detector: TurnDetector | None = None
