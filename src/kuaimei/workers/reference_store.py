"""Voices that a worker was lent: kept while it runs, and gone with it, however it ends."""

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
"""Engines take 3 to 30 s of a reference."""
_KEPT: Final = 64
"""The one that was not used for longest goes first; whoever lent it lends it again."""


class ReferenceStore:
    """By an id that follows from what is in them: lent twice, kept once.

    The files have no names, and engines want paths with names that tell the format: those are links in a
    folder.

    Args:
        folder: For the links; only this process may write there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, ReferenceAudio] = {}
        self._descriptors: dict[str, int] = {}
        finalize(self, _close, self._descriptors)

    @property
    def ids(self) -> tuple[str, ...]:
        """Those that are there."""
        return tuple(self._kept)

    def get(self, reference: str) -> ReferenceAudio | None:
        """None if it is not there (any more)."""
        found = self._kept.pop(reference, None)
        if found is not None:
            self._kept[reference] = found  # now the latest
        return found

    async def add(self, data: bytes, transcript: str) -> str:
        """Its id; any common audio format.

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
        """Forget it; False if it is not there."""
        found = self._kept.pop(reference, None)
        if found is not None:
            found.path.unlink(missing_ok=True)
            os.close(self._descriptors.pop(reference))
        return found is not None


def _write(path: Path, pcm: Pcm) -> int:
    """``path`` leads to ``pcm`` as a WAV file for as long as the descriptor, which is returned, is open."""
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
