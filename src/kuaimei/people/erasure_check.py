"""Search for data that should be gone, in file names and file contents."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kuaimei.store.erasure_check import Leftover
from kuaimei.system.folders import temporary_folder

__all__ = ["Needles", "search_files"]

_WORD: Final = re.compile(rb"[A-Za-z0-9_-]{4,}")
_PIECE: Final = 1 << 20
"""Bytes read at a time; matches across the border of two pieces are found as well."""
_OVERLAP: Final = 4096
_LEFT_OUT: Final = ("models", "learning-environment", "postgres/data")
"""Weights and packages, which hold no user data, and the database's own files, whose tables are searched."""
_SOUND: Final = frozenset({".flac", ".pcm", ".npy", ".npz", ".onnx", ".wav", ".mp3"})
"""File types without text, of which only the names are searched."""


@dataclass(frozen=True, slots=True)
class Needles:
    """What to search for.

    Attributes:
        names: Ids, matched as whole words.
        sentences: Matched as substrings.
    """

    names: Sequence[str]
    sentences: Sequence[str]
    _words: frozenset[bytes] = field(init=False, repr=False)
    _texts: tuple[bytes, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_words", frozenset(name.encode() for name in self.names))
        object.__setattr__(self, "_texts", tuple(text.encode("utf-8", "replace") for text in self.sentences))

    def among(self, data: bytes) -> bool:
        """Return whether ``data`` contains one of them."""
        return any(word in self._words for word in _WORD.findall(data)) or any(
            text in data for text in self._texts
        )


def search_files(home: Path, needles: Needles) -> Sequence[Leftover]:
    """Search every folder of the data folder, and this program's files in the temporary folder. Blocks.

    Other data folders in the temporary folder are skipped.

    Args:
        home: The data folder.
        needles: Searched for in file names and in files that are not audio or arrays.
    """
    places = []
    for folder in sorted(home.iterdir()) if home.is_dir() else []:
        if folder.name in _LEFT_OUT:
            continue
        files = _files(folder, home) if folder.is_dir() else [folder]
        places.append(Leftover(f"files: {folder.name}", sum(_holds(path, needles) for path in files)))
    temporary = [
        path
        for found in sorted(temporary_folder().glob("kuaimei-*"))
        if found != home and found not in home.parents and not (found / "postgres").exists()
        for path in (_files(found, home) if found.is_dir() else [found])
    ]
    places.append(Leftover("files: temporary folder", sum(_holds(path, needles) for path in temporary)))
    return places


def _files(folder: Path, home: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder, onerror=None):
        here = Path(place)
        folders[:] = [name for name in folders if _inside(here / name, home) not in _LEFT_OUT]
        yield here
        for name in files:
            yield here / name


def _inside(path: Path, home: Path) -> str:
    return path.relative_to(home).as_posix() if path.is_relative_to(home) else ""


def _holds(path: Path, needles: Needles) -> bool:
    """Return whether the file's name or content contains one of ``needles``."""
    if needles.among(path.name.encode("utf-8", "surrogateescape")):
        return True
    if path.suffix in _SOUND or path.is_symlink() or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            before = b""
            while piece := file.read(_PIECE):
                if needles.among(before + piece):
                    return True
                before = piece[-_OVERLAP:]
    except OSError:
        return False  # a socket, or gone meanwhile
    return False
