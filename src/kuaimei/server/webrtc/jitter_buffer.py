"""How long what a client says is kept back for packets that come late."""

import logging
from typing import Final

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterBuffer

__all__ = ["shrink_jitter_buffer"]

_log = logging.getLogger(__name__)

_BUFFER: Final = "_RTCRtpReceiver__jitter_buffer"
_PACKETS: Final = 4
"""Of 20 ms each: so many may overtake a late one before it is given up."""


def shrink_jitter_buffer(receiver: RTCRtpReceiver) -> None:
    """Let a packet through as soon as the next one is there.

    The library's own buffer is made for playing what comes: it always holds four packets, and sixteen once
    one was lost. Here nothing is played, everybody waits for the end of speech, and the order of the packets
    is kept all the same.
    """
    if not isinstance(getattr(receiver, _BUFFER, None), JitterBuffer):
        _log.warning("this aiortc keeps its packets elsewhere: what is said is heard 60 ms late")
        return
    setattr(receiver, _BUFFER, JitterBuffer(capacity=_PACKETS, prefetch=1))
