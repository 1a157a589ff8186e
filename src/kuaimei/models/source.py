"""What the setting of a role means: weights on this machine, or an address."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

__all__ = ["EngineSource", "Role", "without_secrets"]

Role: TypeAlias = Literal["vad", "turn", "captions", "asr", "llm", "tts", "judge", "speaker"]


@dataclass(frozen=True, slots=True)
class EngineSource:
    """Where an engine comes from.

    Attributes:
        role: What it is for.
        name: As the setting says it: a catalogue name, a path or a URL (without user name and password).
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

    @property
    def where(self) -> str:
        """Its address as it may be shown: without user name and password."""
        return without_secrets(self.url)


def without_secrets(url: str) -> str:
    """``url`` without the user name and password that may stand in it."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no address at all: whatever stands before the last @ may be a secret
        return url.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
