"""What the setting of a role means: weights on this machine, or an address."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

__all__ = ["Role", "Source"]

Role: TypeAlias = Literal["vad", "turn", "captions", "asr", "llm", "tts", "judge", "speaker"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where an engine comes from.

    Attributes:
        role: What it is for.
        name: As the setting says it: a catalogue name, a path or a URL.
        engine: Key in the table of the role's kind (``whisper``, ``openai``, …).
        path: Folder (or single file) of its weights; None for what needs none or is far away.
        url: Base URL in the OpenAI dialect; empty for what runs here.
        licence: Of the weights, as SPDX where there is one; empty if unknown.
    """

    role: Role
    name: str
    engine: str
    path: Path | None = None
    url: str = ""
    licence: str = ""
