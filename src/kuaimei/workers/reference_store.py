"""Uploaded reference recordings: held while the worker runs and gone with it, however it ends."""

import asyncio
import os
from hashlib import sha256
from pathlib import Path
from typing import Final
from weakref import finalize

from kuaimei.audio.decode import decode
from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import Pcm, to_bytes
from kuaimei.errors import AudioError
from kuaimei.system.files import anonymous_file, path_of
from kuaimei.workers.types import ReferenceAudio

__all__ = ["LONGEST_S", "ReferenceStore"]

_RATE: Final = 24_000
_SHORTEST_S: Final = 1.0
LONGEST_S: Final = 60.0
"""Maximum length in seconds; engines use 3 to 30 s of a reference."""
_KEPT: Final = 64
"""Maximum number of references; the least recently used is evicted, and its client uploads it again."""


class ReferenceStore:
    """Reference recordings by an id derived from their content, so that duplicates are stored once.

    The files are anonymous, but engines need paths whose suffix tells the format: symbolic links in
    ``folder``.

    Args:
        folder: Folder for the links; only this process may write there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, ReferenceAudio] = {}
        self._descriptors: dict[str, int] = {}
        finalize(self, _close, self._descriptors)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the stored references."""
        return tuple(self._kept)

    def get(self, reference: str) -> ReferenceAudio | None:
        """Return the reference and mark it as used; None if it is not, or no longer, stored."""
        found = self._kept.pop(reference, None)
        if found is not None:
            self._kept[reference] = found  # now the most recently used
        return found

    async def add(self, data: bytes, transcript: str) -> str:
        """Store a reference in any common audio format and return its id.

        Raises:
            AudioError: If it cannot be decoded, or is too short or too long.
        """
        pcm = await decode(data, _RATE, max_s=LONGEST_S)
        if len(pcm) < _SHORTEST_S * _RATE:
            raise AudioError(f"a reference needs at least {_SHORTEST_S:g} s of speech")
        transcript = transcript.strip()
        digest = sha256(to_bytes(pcm) + transcript.encode()).hexdigest()[:24]
        name = f"ref_{digest}"
        if self.get(name) is None:
            path = self._folder / f"{name}.wav"
            self._descriptors[name] = await asyncio.to_thread(_write, path, pcm)
            self._kept[name] = ReferenceAudio(path, transcript)
            while len(self._kept) > _KEPT:
                self.drop(next(iter(self._kept)))
        return name

    def drop(self, reference: str) -> bool:
        """Delete a reference; False if it is not stored."""
        found = self._kept.pop(reference, None)
        if found is not None:
            found.path.unlink(missing_ok=True)
            os.close(self._descriptors.pop(reference))
        return found is not None


def _write(path: Path, pcm: Pcm) -> int:
    """Link ``path`` to an anonymous WAV file with ``pcm``; valid while the returned descriptor is open."""
    with anonymous_file() as file:
        file.write(encode(pcm, _RATE, "wav"))
        file.flush()
        descriptor = os.dup(file.fileno())
    path.unlink(missing_ok=True)
    path.symlink_to(path_of(descriptor))
    return descriptor


def _close(descriptors: dict[str, int]) -> None:
    for descriptor in descriptors.values():
        os.close(descriptor)
