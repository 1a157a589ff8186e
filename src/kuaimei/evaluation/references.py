"""Folder of evaluation references: a recording for each speaker, with its transcript if known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kuaimei.errors import AudioError

__all__ = ["EvaluationReference", "find_references"]

_SUFFIXES: Final = frozenset(
    {".wav", ".flac", ".mp3", ".m4a", ".mp4", ".ogg", ".oga", ".opus", ".webm", ".aac", ".aiff"}
)


@dataclass(frozen=True, slots=True)
class EvaluationReference:
    """Reference recording of one speaker.

    Attributes:
        name: File name without its suffix.
        path: Path of the recording.
        transcript: Everything that is said; empty: unknown.
    """

    name: str
    path: Path
    transcript: str


def find_references(folder: Path) -> Sequence[EvaluationReference]:
    """Return the recordings in ``folder``, by name; ``NAME.txt`` beside one is its transcript.

    Raises:
        AudioError: If there are none, or two have the same name.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not paths:
        raise AudioError(f"there are no recordings in {folder}: add one for each speaker")
    names = [path.stem for path in paths]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise AudioError(f"two recordings in {folder} have the name {twice}: rename one")
    return [EvaluationReference(path.stem, path, _transcript(path)) for path in paths]


def _transcript(path: Path) -> str:
    try:
        text = path.with_suffix(".txt").read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(f"{path.with_suffix('.txt')} is not text in UTF-8: {error}") from error
    return " ".join(text.split())
