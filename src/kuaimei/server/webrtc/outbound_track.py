"""Outgoing audio track with the replies: one packet every 20 ms, silence in between."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import Packet

from kuaimei.audio.pcm import Pcm
from kuaimei.server.webrtc.opus import FRAME, RATE, OpusEncoder

__all__ = ["ReplyTrack"]

_FRAME_S = FRAME / RATE
_LATE_S = 0.2
"""Delay in seconds beyond which lost time is not made up: the client's buffer has run dry anyway."""


class ReplyTrack(MediaStreamTrack):
    """Reads each frame from ``source`` when it is due, never earlier, so that clearing takes effect at once.

    Args:
        source: Called for each frame (`FRAME` samples at `RATE`); None is silence.
        executor: Runs the audio encoder.
    """

    kind = "audio"

    def __init__(self, source: Callable[[], Pcm | None], executor: Executor) -> None:
        super().__init__()
        self._source = source
        self._executor = executor
        self._encoder: OpusEncoder | None = None
        self._due: float | None = None
        self._pts = 0

    async def recv(self) -> "Packet[Any]":
        """Return the next packet, in real time.

        Raises:
            MediaStreamError: Once the track has been stopped.
        """
        loop = asyncio.get_running_loop()
        if self._due is None or loop.time() - self._due > _LATE_S:
            self._due = loop.time()
        else:
            await asyncio.sleep(self._due - loop.time())
        if self.readyState != "live":
            raise MediaStreamError
        self._due += _FRAME_S
        pts, self._pts = self._pts, self._pts + FRAME
        pcm = self._source()
        if self._encoder is None:
            self._encoder = await loop.run_in_executor(self._executor, OpusEncoder)
        if pcm is None and self._encoder.settled:
            return self._encoder.encode(None, pts)
        return await loop.run_in_executor(self._executor, self._encoder.encode, pcm, pts)
