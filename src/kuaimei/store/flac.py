"""FLAC encoding of spooled PCM and decoding, block by block: memory does not grow with the recording."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile  # type: ignore[import-untyped]

from kuaimei.audio.pcm import Pcm
from kuaimei.errors import AudioError

__all__ = ["Flac", "encode", "read", "read_in_chunks", "write"]

_BLOCK = 65_536
_SEARCH_S = 5.0
"""A chunk is cut at the quietest point of so many seconds at its end."""
_WINDOW_S = 0.1


@dataclass(frozen=True, slots=True)
class Flac:
    """An encoded file, ready to be stored.

    Attributes:
        duration_ms: Length of the audio.
        sha256: Digest of the file, in hex.
        size: Size of the file in bytes.
    """

    path: Path
    duration_ms: float
    sha256: str
    size: int


def encode(pcm: Path, rate: int, path: Path) -> Flac | None:
    """Compress the file ``pcm`` (raw s16le) into ``path``; None if it has no sample. Blocks.

    Args:
        pcm: Mono s16le samples.
        rate: Sample rate in Hz.
        path: File to be written.

    Raises:
        OSError: If it cannot be read or written (the disk is full), or reading it back gives other samples.
    """
    samples = pcm.stat().st_size // 2 if pcm.exists() else 0
    if not samples:
        return None
    with pcm.open("rb") as source:
        return _written(iter(partial(_block, source, samples), b""), rate, path)


def write(pcm: Pcm, rate: int, path: Path) -> Flac:
    """Compress ``pcm``, which is in memory, into ``path``. Blocks.

    Args:
        pcm: Mono samples, int16.
        rate: Sample rate in Hz.
        path: File to be written.

    Raises:
        OSError: If it cannot be written (the disk is full), or reading it back gives other samples.
    """
    blocks = (pcm[at : at + _BLOCK].astype("<i2").tobytes() for at in range(0, len(pcm), _BLOCK))
    return _written(blocks, rate, path)


def _block(source: BinaryIO, samples: int) -> bytes:
    """Read the next block of the first ``samples`` in ``source``; empty at their end."""
    data = source.read(2 * min(_BLOCK, samples - source.tell() // 2))
    return data[: len(data) - len(data) % 2]


def _written(blocks: Iterable[bytes], rate: int, path: Path) -> Flac:
    """Write and verify: a full disk makes a short file, and the library does not always report that."""
    samples, given = 0, hashlib.sha256()
    try:
        with soundfile.SoundFile(path, "w", rate, 1, "PCM_16", format="FLAC") as sink:
            for data in blocks:
                given.update(data)
                sink.write(np.frombuffer(data, dtype="<i2"))
                samples += len(data) // 2
        kept = hashlib.sha256()
        with soundfile.SoundFile(path) as file:
            frames = int(file.frames)
            while len(pcm := file.read(_BLOCK, dtype="int16")):
                kept.update(np.ascontiguousarray(pcm, dtype="<i2").data)
    except (soundfile.LibsndfileError, AssertionError) as error:  # the latter is raised for a short write
        raise OSError(f"{path.name} cannot be written: {error or 'the disk may be full'}") from error
    if frames != samples or kept.digest() != given.digest():
        raise OSError(f"{path.name} has {frames} of {samples} samples, or different ones: is the disk full?")
    return _known(path, frames, rate)


def read(path: Path) -> tuple[Pcm, int]:
    """Read all audio in ``path``; return it and its rate in Hz. Blocks.

    Raises:
        AudioError: If it is damaged.
        OSError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            pcm, rate = soundfile.read(file, dtype="int16")
    except soundfile.LibsndfileError as error:
        raise AudioError(f"the recording is damaged: {error}") from error
    found: Pcm = pcm
    return found, int(rate)


def _known(path: Path, samples: int, rate: int) -> Flac:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return Flac(path, samples * 1000.0 / rate, digest.hexdigest(), path.stat().st_size)


def read_in_chunks(path: Path, longest_s: float) -> Iterator[Pcm]:
    """Yield the audio in ``path`` in chunks of at most ``longest_s``, cut at quiet points. Blocks."""
    with soundfile.SoundFile(path) as file:
        rate = int(file.samplerate)
        longest = int(longest_s * rate)
        rest: Pcm = np.zeros(0, dtype=np.int16)
        while True:
            fresh: Pcm = file.read(longest - len(rest), dtype="int16", always_2d=False)
            held: Pcm = np.concatenate((rest, fresh))
            if len(held) < longest:
                if len(held):
                    yield held
                return
            cut = _quietest(held, rate)
            yield held[:cut]
            rest = held[cut:].copy()


def _quietest(pcm: Pcm, rate: int) -> int:
    """Return the middle of the quietest window near the end of ``pcm``, as a sample index above 0."""
    window = max(1, int(_WINDOW_S * rate))
    start = max(0, len(pcm) - int(_SEARCH_S * rate))
    count = (len(pcm) - start) // window
    if count < 2:
        return len(pcm)
    energy = (
        np.square(pcm[start : start + count * window].astype(np.float32)).reshape(count, window).sum(axis=1)
    )
    return start + int(np.argmin(energy)) * window + window // 2
