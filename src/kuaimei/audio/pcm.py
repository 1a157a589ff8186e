"""Mono 16-bit PCM, the only audio format used inside the server."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["ASR_RATE", "EMPTY", "Pcm", "duration_ms", "from_bytes", "from_float", "to_bytes", "to_float"]

Pcm: TypeAlias = NDArray[np.int16]
"""Mono samples, shape ``(n,)``, dtype int16."""

ASR_RATE = 16_000
"""Sample rate in Hz of all speech input (VAD, turn detection, recognition)."""

EMPTY: Pcm = np.zeros(0, dtype=np.int16)
EMPTY.setflags(write=False)


def from_bytes(data: bytes) -> Pcm:
    """Convert little-endian 16-bit bytes to samples (no copy, read-only).

    Raises:
        ValueError: If ``data`` has an odd number of bytes.
    """
    return np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False)


def to_bytes(pcm: Pcm) -> bytes:
    """Convert samples to little-endian 16-bit bytes."""
    return pcm.astype("<i2", copy=False).tobytes()


def to_float(pcm: Pcm) -> NDArray[np.float32]:
    """Convert samples to float32 in [-1, 1)."""
    return pcm.astype(np.float32) / np.float32(32768.0)


def from_float(samples: NDArray[np.floating]) -> Pcm:
    """Convert floats in [-1, 1] to samples; values outside are clipped, not wrapped."""
    clipped: Pcm = np.clip(np.rint(samples * 32767.0), -32768, 32767).astype(np.int16)
    return clipped


def duration_ms(pcm: Pcm, rate: int) -> float:
    """Return the length of ``pcm`` in milliseconds at ``rate`` Hz."""
    return len(pcm) * 1000.0 / rate
