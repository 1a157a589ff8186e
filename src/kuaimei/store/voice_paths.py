"""Where in the data folder, and under which keys, what belongs to a voice lies."""

from pathlib import Path
from typing import Final

__all__ = ["learning_folder", "sample_folder", "sample_voice", "voice_folder"]

_MARK: Final = "."


def voice_folder(voice: str) -> str:
    """Folder of its files among the recordings: its reference, and what was learned."""
    return f"voices/{voice}"


def learning_folder(home: Path, voice: str) -> Path:
    """Where learning the voice keeps what it needs and its checkpoints."""
    return home / "learning" / voice


def sample_folder(home: Path) -> Path:
    """Where it lies how voices sound; each file is called ``VOICE.…``."""
    return home / "cache" / "voices"


def sample_voice(name: str) -> str:
    """The voice whose sample a file of that name is; empty: it is called as no voice can be."""
    return name.lstrip(_MARK).partition(_MARK)[0]
