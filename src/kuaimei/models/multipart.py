"""Assembles a file from pieces that arrive in any order, one package at a time, over several runs."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kuaimei.models.catalog import SourceSpec, WeightFile
from kuaimei.models.errors import WrongHash, full_disk

__all__ = ["MultipartFile"]

_CHUNK = 1 << 20


class MultipartFile:
    """Assembles ``file`` in ``folder``.

    Every piece is kept in its own file until all are there: after an interruption, a pull downloads
    only the packages whose pieces are missing.
    """

    def __init__(self, folder: Path, file: WeightFile, place: SourceSpec) -> None:
        self.file = file
        self.place = place
        self._target = folder / file.path
        origin = hashlib.sha256(f"{place.text} {file.sha256}".encode()).hexdigest()[:12]
        self._stem = folder / ".pieces" / f"{file.path.replace('/', '~')}.{origin}"

    def missing_parts(self) -> list[int]:
        """Return the numbers of the pieces that are still missing."""
        return [n for n in range(len(self.place.pieces)) if not self._piece(n).is_file()]

    @contextmanager
    def receive(self, number: int) -> Iterator[Callable[[bytes], None]]:
        """Yield a function that takes piece ``number`` in chunks; the piece is kept when the block ends."""
        piece = self._piece(number)
        half = piece.with_name(f"{piece.name}.half")
        half.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with full_disk(half.parent), half.open("wb") as out:

            def take(chunk: bytes) -> None:
                nonlocal size
                size += len(chunk)
                if size > self.file.size:
                    raise WrongHash(f"{self.place.text} is longer than the catalogue says")
                out.write(chunk)

            yield take
        half.replace(piece)

    def finish(self) -> None:
        """Join the pieces; on return the file is in place and verified.

        Raises:
            WrongHash: If they do not form the file that the catalogue describes.
            DiskFull: If the disk is full.
        """
        numbers = range(len(self.place.pieces))
        # Renamed while it grows: an interruption then costs one package instead of causing a wrong hash.
        first = self._piece(0).replace(self._stem.with_name(f"{self._stem.name}.whole"))
        digest = hashlib.sha256()
        with full_disk(first.parent), first.open("r+b") as whole:
            while chunk := whole.read(_CHUNK):
                digest.update(chunk)
            for number in numbers[1:]:
                with self._piece(number).open("rb") as part:
                    while chunk := part.read(_CHUNK):
                        digest.update(chunk)
                        whole.write(chunk)
        for number in numbers[1:]:
            self._piece(number).unlink()
        if digest.hexdigest() != self.file.sha256:
            first.unlink()
            raise WrongHash(
                f"{self.place.text} is not the file that the catalogue describes (SHA-256 differs)"
            )
        self._target.parent.mkdir(parents=True, exist_ok=True)
        first.replace(self._target)

    def _piece(self, number: int) -> Path:
        return self._stem.with_name(f"{self._stem.name}.{number}")
