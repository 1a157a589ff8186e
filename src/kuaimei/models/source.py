"""Resolved setting of a role: weights on this machine, or an address."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

__all__ = ["EngineSource", "Role", "without_secrets"]

Role: TypeAlias = Literal["vad", "turn", "captions", "asr", "llm", "tts", "judge", "speaker"]


@dataclass(frozen=True, slots=True)
class EngineSource:
    """Source of an engine.

    Attributes:
        role: Role of the engine.
        name: As in the setting: a catalogue name, a path or a URL (without user name and password).
        engine: Key in the table of the role's kind (``whisper``, ``openai``, …).
        path: Folder (or single file) of its weights; None if it needs none or is remote.
        url: Base URL of a server with the OpenAI API; empty for a local engine.
        licence: Licence of the weights, as SPDX if available; empty if unknown.
    """

    role: Role
    name: str
    engine: str
    path: Path | None = None
    url: str = ""
    licence: str = ""

    @property
    def where(self) -> str:
        """Address for display: without user name and password."""
        return without_secrets(self.url)


def without_secrets(url: str) -> str:
    """Return ``url`` without user name and password."""
    try:
        parts = urlsplit(url)
    except ValueError:  # not a valid URL: anything before the last @ may be a secret
        return url.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
