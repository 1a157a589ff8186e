"""Voices that a worker was lent: kept while it runs, in a folder of its own."""

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Final

from kuaimei.audio.decode import decode
from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import Pcm, to_bytes
from kuaimei.errors import AudioError
from kuaimei.workers.types import Reference

__all__ = ["LONGEST_S", "References"]

_RATE: Final = 24_000
_SHORTEST_S: Final = 1.0
LONGEST_S: Final = 60.0
"""Engines take 3 to 30 s of a reference."""
_KEPT: Final = 64
"""The one that was not used for longest goes first; whoever lent it lends it again."""


class References:
    """By an id that follows from what is in them: lent twice, kept once.

    Args:
        folder: For their files; only this process may write there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, Reference] = {}

    @property
    def ids(self) -> tuple[str, ...]:
        """Those that are there."""
        return tuple(self._kept)

    def get(self, reference: str) -> Reference | None:
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
            await asyncio.to_thread(_write, path, pcm)
            self._kept[name] = Reference(path, transcript)
            while len(self._kept) > _KEPT:
                self.drop(next(iter(self._kept)))
        return name

    def drop(self, reference: str) -> bool:
        """Forget it; False if it is not there."""
        found = self._kept.pop(reference, None)
        if found is not None:
            found.path.unlink(missing_ok=True)
        return found is not None


def _write(path: Path, pcm: Pcm) -> None:
    path.write_bytes(encode(pcm, _RATE, "wav"))
