"""The engines of a conversation, known by their Protocols alone."""

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
    """Who listens, thinks and speaks; shared by all conversations.

    Attributes:
        vad: Makes a detector for one stream of audio.
        captioner: None: no captions while somebody speaks.
        turn_detector: None: silence alone ends a turn.
    """

    vad: Callable[[], VoiceActivityDetector]
    recognizer: Recognizer
    language_model: LanguageModel
    synthesizer: Synthesizer
    captioner: Captioner | None = None
    turn_detector: TurnDetector | None = None
