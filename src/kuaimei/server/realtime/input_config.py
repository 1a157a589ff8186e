"""Input settings that a client may change: turn detection, language and keywords."""

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kuaimei.server.realtime.protocol import ProtocolError
from kuaimei.settings import DialogueSettings

__all__ = ["InputConfig", "Transcription", "TurnDetection"]

Eagerness = Literal["low", "medium", "high", "auto"]

_SILENCE_FACTOR: dict[Eagerness, float] = {"low": 1.6, "medium": 1.0, "high": 0.7, "auto": 1.0}
"""Factors on the silences that end a turn."""
_KEYWORDS = 100
_THRESHOLD_MARGIN = 0.05
"""Distance that a threshold keeps from 0, where all audio is speech, and from 1, where none is."""
_BETWEEN = re.compile(r"[,，、;；\n]+")


class TurnDetection(BaseModel):
    """Fields of ``audio.input.turn_detection``."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["server_vad", "semantic_vad"]
    create_response: bool | None = None
    interrupt_response: bool | None = None
    threshold: float | None = Field(default=None, ge=0.0, le=1.0)
    silence_duration_ms: int | None = Field(default=None, ge=100, le=10_000)
    prefix_padding_ms: int | None = Field(default=None, ge=0, le=2_000)
    eagerness: Eagerness | None = None


class Transcription(BaseModel):
    """Fields of ``audio.input.transcription``."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    language: str | None = Field(default=None, max_length=35)
    prompt: str | None = Field(default=None, max_length=2_000)
    keywords: list[str] | None = Field(default=None, max_length=_KEYWORDS)


@dataclass(frozen=True, slots=True)
class InputConfig:
    """What differs from the settings; fields that are None do not.

    Attributes:
        silence_ms: Silence that ends a turn, whatever the turn detector predicts.
        keywords: Words that the recognizer favours.
    """

    threshold: float | None = None
    silence_ms: int | None = None
    padding_ms: int | None = None
    eagerness: Eagerness = "auto"
    language: Literal["zh", "en", "auto"] | None = None
    keywords: tuple[str, ...] | None = None

    def with_turn_detection(self, asked: TurnDetection) -> "InputConfig":
        """Return a copy changed by the given fields of ``asked``."""
        given = asked.model_fields_set
        return replace(
            self,
            threshold=asked.threshold if "threshold" in given else self.threshold,
            silence_ms=asked.silence_duration_ms if "silence_duration_ms" in given else self.silence_ms,
            padding_ms=asked.prefix_padding_ms if "prefix_padding_ms" in given else self.padding_ms,
            eagerness=asked.eagerness or "auto" if "eagerness" in given else self.eagerness,
        )

    def with_transcription(self, asked: Transcription) -> "InputConfig":
        """Return a copy changed by the given fields of ``asked``.

        Raises:
            ProtocolError: If the language is not supported.
        """
        heard = self
        if "language" in asked.model_fields_set:
            heard = replace(heard, language=_language(asked.language))
        if "keywords" in asked.model_fields_set:
            heard = replace(heard, keywords=_words(asked.keywords))
        elif "prompt" in asked.model_fields_set:  # "a list of keywords", as the protocol has it for Whisper
            heard = replace(heard, keywords=_words(_BETWEEN.split(asked.prompt or "")))
        return heard

    def settings(self, base: DialogueSettings, *, semantic: bool) -> DialogueSettings:
        """Return ``base`` with this session's changes; ``semantic``: the turn detector is used."""
        changes: dict[str, Any] = {}
        if self.threshold is not None:
            changes["speech_threshold"] = min(max(self.threshold, _THRESHOLD_MARGIN), 1.0 - _THRESHOLD_MARGIN)
        if self.padding_ms is not None:
            changes["preroll_ms"] = self.padding_ms
        silences = ("end_silence_ms", "end_silence_complete_ms", "end_silence_incomplete_ms")
        if semantic:
            factor = _SILENCE_FACTOR[self.eagerness]
            changes |= {name: round(getattr(base, name) * factor) for name in silences if factor != 1.0}
        elif self.silence_ms is not None:
            changes |= dict.fromkeys((*silences, "unready_silence_ms"), self.silence_ms)
            changes["speculate_silence_ms"] = min(base.speculate_silence_ms, self.silence_ms)
        if self.language is not None:
            changes["language"] = self.language
        if self.keywords is not None:
            changes["hotwords"] = self.keywords
        return base.model_copy(update=changes) if changes else base


def _language(tag: str | None) -> Literal["zh", "en", "auto"]:
    primary = (tag or "auto").lower().replace("_", "-").partition("-")[0]
    match primary:
        case "zh" | "cmn":
            return "zh"
        case "en":
            return "en"
        case "auto":
            return "auto"
        case _:
            raise ProtocolError(
                f"the language {str(tag)[:35]!r} is not supported: use zh, en, or none for both",
                code="unsupported",
                param="session.audio.input.transcription.language",
            )


def _words(words: list[str] | None) -> tuple[str, ...] | None:
    if words is None:
        return None
    stripped = (word.strip()[:60] for word in words)
    return tuple(dict.fromkeys(word for word in stripped if word))[:_KEYWORDS]
