"""Paths and blob keys of a voice's files."""

from pathlib import Path
from typing import Final

__all__ = ["learning_folder", "sample_folder", "sample_voice", "voice_folder"]

_MARK: Final = "."


def voice_folder(voice: str) -> str:
    """Return the blob folder of a voice: reference recording, style and decoder."""
    return f"voices/{voice}"


def learning_folder(home: Path, voice: str) -> Path:
    """Return the folder of a voice's training: inputs and checkpoints."""
    return home / "learning" / voice


def sample_folder(home: Path) -> Path:
    """Return the folder of voice samples; each file is named ``VOICE.…``."""
    return home / "cache" / "voices"


def sample_voice(name: str) -> str:
    """Return the voice whose sample has that file name; empty if the name contains none."""
    return name.lstrip(_MARK).partition(_MARK)[0]
