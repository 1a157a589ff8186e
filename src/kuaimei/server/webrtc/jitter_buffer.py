"""Smaller jitter buffer for aiortc: lower latency, packet order still preserved."""

import logging
from typing import Final

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterBuffer

__all__ = ["shrink_jitter_buffer"]

_log = logging.getLogger(__name__)

_BUFFER: Final = "_RTCRtpReceiver__jitter_buffer"
_PACKETS: Final = 4
"""Packets of 20 ms that may overtake a late one before it is dropped."""


def shrink_jitter_buffer(receiver: RTCRtpReceiver) -> None:
    """Let the receiver release a packet as soon as the next one has arrived.

    aiortc's buffer is made for playback: it always holds four packets, and sixteen once one was lost. Here
    nothing is played, latency delays endpointing, and the order of packets is preserved all the same.
    """
    if not isinstance(getattr(receiver, _BUFFER, None), JitterBuffer):
        _log.warning("unsupported aiortc version: input audio is delayed by 60 ms")
        return
    setattr(receiver, _BUFFER, JitterBuffer(capacity=_PACKETS, prefetch=1))
