"""Audio codecs of the protocol: PCM at 24 kHz, and G.711 at 8 kHz as used in telephony."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import ASR_RATE, Pcm, from_bytes, to_bytes
from kuaimei.audio.resample import StreamResampler

__all__ = ["RATES", "AudioFormat", "InputDecoder", "OutputEncoder"]

AudioFormat: TypeAlias = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]

RATES: dict[AudioFormat, int] = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
"""Sample rates in Hz; the protocol has no others."""


def _mu_law() -> NDArray[np.int16]:
    """Return the samples of the 256 codes of G.711 µ-law (ITU-T G.711, table 2, scaled to 16 bits)."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _a_law() -> NDArray[np.int16]:
    """Return the samples of the 256 codes of G.711 A-law (ITU-T G.711, table 1, scaled to 16 bits)."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code >> 4) & 7
    step = (code & 0x0F) << 4
    magnitude = np.where(exponent == 0, step + 8, (step + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


class _Companding:
    """A companding law as a table of its 256 levels; encoding takes the nearest."""

    def __init__(self, levels: NDArray[np.int16]) -> None:
        self._levels = levels
        # µ-law has two codes for zero; in reverse order, unique() takes the usual one (0xFF).
        ordered, place = np.unique(levels[::-1], return_index=True)
        self._codes = (255 - place).astype(np.uint8)
        self._borders = (ordered[:-1].astype(np.int32) + ordered[1:]) / 2

    def decode(self, data: bytes) -> Pcm:
        decoded: Pcm = self._levels[np.frombuffer(data, dtype=np.uint8)]
        return decoded

    def encode(self, pcm: Pcm) -> bytes:
        return self._codes[np.searchsorted(self._borders, pcm)].tobytes()


_LAWS: dict[AudioFormat, _Companding] = {
    "audio/pcmu": _Companding(_mu_law()),
    "audio/pcma": _Companding(_a_law()),
}


class InputDecoder:
    """Decodes the audio of one client to 16 kHz.

    Args:
        fmt: Format that the client sends.
    """

    def __init__(self, fmt: AudioFormat) -> None:
        self.rate = RATES[fmt]
        self._decode: Callable[[bytes], Pcm] = _LAWS[fmt].decode if fmt in _LAWS else from_bytes
        self._resampler = StreamResampler(self.rate, ASR_RATE)

    def push(self, data: bytes) -> Pcm:
        """Decode ``data``.

        Raises:
            ValueError: If ``data`` ends within a sample.
        """
        return self._resampler.push(self._decode(data))

    def flush(self) -> Pcm:
        """Return the few milliseconds still buffered, and reset."""
        return self._resampler.flush()


class OutputEncoder:
    """Encodes the audio of one reply.

    Args:
        fmt: Format that the client receives.
        source_rate: Sample rate in Hz of what is pushed.
    """

    def __init__(self, fmt: AudioFormat, source_rate: int) -> None:
        self.rate = RATES[fmt]
        self._encode: Callable[[Pcm], bytes] = _LAWS[fmt].encode if fmt in _LAWS else to_bytes
        self._resampler = StreamResampler(source_rate, self.rate)

    def push(self, pcm: Pcm) -> bytes:
        """Return what can be sent after ``pcm``."""
        return self._encode(self._resampler.push(pcm))

    def flush(self) -> bytes:
        """Return what is still buffered, and reset."""
        return self._encode(self._resampler.flush())
