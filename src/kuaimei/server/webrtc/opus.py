"""Opus encoder for replies (RFC 6716), 20 ms per packet."""

from fractions import Fraction
from typing import Any

import numpy as np
from av import AudioFrame, CodecContext, Packet

from kuaimei.audio.pcm import Pcm

__all__ = ["FRAME", "RATE", "OpusEncoder"]

RATE = 48_000
"""Clock rate in Hz of Opus in RTP, whatever the bandwidth (RFC 7587)."""
FRAME = 960
"""Samples per packet."""

_TIME_BASE = Fraction(1, RATE)
_BITRATE = 40_000
_OPTIONS = {
    "application": "voip",
    "compression_level": "5",  # inaudible in speech, and takes half the time
    "fec": "1",
    "packet_loss": "5",
}
_SETTLING_PACKETS = 8
"""Packets of silence after which further ones are identical."""

_SILENCE: Pcm = np.zeros(FRAME, np.int16)
_SILENCE.setflags(write=False)


class OpusEncoder:
    """Encodes one stream; not thread-safe."""

    def __init__(self) -> None:
        codec = CodecContext.create("libopus", "w")
        codec.bit_rate = _BITRATE
        codec.format = "s16"
        codec.layout = "mono"
        codec.sample_rate = RATE
        codec.time_base = _TIME_BASE
        codec.options = _OPTIONS
        self._codec = codec
        self._silent = 0
        self._silence = b""

    @property
    def settled(self) -> bool:
        """True if silence costs nothing now: the last packet is repeated."""
        return self._silent >= _SETTLING_PACKETS

    def encode(self, pcm: Pcm | None, pts: int) -> "Packet[Any]":
        """Return the packet for one frame.

        Args:
            pcm: `FRAME` int16 samples at `RATE`; None: silence.
            pts: Index of the frame's first sample in the stream.
        """
        if pcm is None and self.settled:
            return _packet(self._silence, pts)
        self._silent = self._silent + 1 if pcm is None else 0
        frame = AudioFrame.from_ndarray(
            (_SILENCE if pcm is None else pcm).reshape(1, FRAME), format="s16", layout="mono"
        )
        frame.sample_rate = RATE
        frame.time_base = _TIME_BASE
        frame.pts = pts
        data = b"".join(bytes(packet) for packet in self._codec.encode(frame))
        if pcm is None:
            self._silence = data
        return _packet(data, pts)


def _packet(data: bytes, pts: int) -> "Packet[Any]":
    packet: Packet[Any] = Packet(data)
    packet.pts = pts
    packet.time_base = _TIME_BASE
    return packet
