"""Playback buffer of a WebRTC client: bounded, cleared at once, and tracks what was played."""

import logging
from collections import deque
from collections.abc import Callable

import numpy as np

from kuaimei.audio.pcm import Pcm
from kuaimei.audio.resample import StreamResampler
from kuaimei.server.realtime.playback import PlayingItem
from kuaimei.server.realtime.send_queue import SendQueue
from kuaimei.server.webrtc.opus import FRAME, RATE

__all__ = ["Playout"]

_log = logging.getLogger(__name__)

_LIMIT = 180 * RATE
"""Maximum samples in the buffer; the conversation hands over some seconds at most."""
_REPORT = 10
"""Frames between two progress reports."""
_FADE = RATE // 100
"""Samples of the fade-out of a reply that is cut off: an abrupt end would click."""


class Playout:
    """A `kuaimei.server.realtime.playback.Playback` onto a track, which reads it frame by frame.

    It knows what was actually played and reports it: to the conversation through ``played``, to the client by
    ``output_audio_buffer.*`` and ``kuaimei.reply.playing``.

    Args:
        outbox: Queue of events to send.

    Attributes:
        played: Called with the milliseconds of the reply that have been played.
    """

    def __init__(self, outbox: SendQueue) -> None:
        self.played: Callable[[float], None] = lambda heard_ms: None
        self._outbox = outbox
        self._reply: PlayingItem | None = None
        self._resampler: StreamResampler | None = None
        self._pieces: deque[Pcm] = deque()
        self._waiting = 0
        self._position_ms = 0.0
        self._end_ms = 0.0
        self._fade: Pcm | None = None
        self._sounding = False
        self._finished = False
        self._frames = 0
        self._told_cleared = ""

    # kuaimei.server.realtime.playback.Playback

    def play(self, reply: PlayingItem, pcm: Pcm, rate: int, start_ms: float) -> None:
        """Append audio that starts at ``start_ms`` of the reply.

        Args:
            reply: The reply.
            pcm: int16 samples.
            rate: Sample rate in Hz.
            start_ms: Position in the reply.
        """
        if self._reply is None or reply.id != self._reply.id:
            self._drop()
            self._reply, self._finished, self._sounding = reply, False, False
            self._end_ms = -1.0
        if self._resampler is None:
            self._resampler = StreamResampler(rate, RATE)
        if not self._waiting and self._end_ms != start_ms:
            self._position_ms = start_ms
        self._end_ms = start_ms + len(pcm) * 1000.0 / rate
        self._append(self._resampler.push(pcm))

    def finish(self, reply: PlayingItem) -> None:
        """Mark the reply's audio as complete; the client is told once all of it was played."""
        if self._reply is not None and reply.id == self._reply.id:
            self._finished = True

    def silence(self, reply: PlayingItem) -> None:
        """Stop the audio within a frame."""
        if self._reply is None or reply.id != self._reply.id:
            return
        audible = self._sounding or self._waiting > 0
        self._fade = self._fading()
        self._drop()
        if audible:
            self.played(self._position_ms)
        if self._sounding:
            self._sounding = False
            self._told_cleared = reply.id
            self._emit("output_audio_buffer.cleared")

    def on_cleared(self, reply: PlayingItem) -> None:
        """Confirm to the client, unless `silence` did so already."""
        if self._told_cleared != reply.id:
            self._outbox.put({"type": "output_audio_buffer.cleared", "response_id": reply.id})

    # The track

    def read_frame(self) -> Pcm | None:
        """Return the next frame to play (`FRAME` samples at `RATE`); None: silence."""
        if self._fade is not None:
            fade, self._fade = self._fade, None
            return fade
        if self._waiting < FRAME and self._resampler is not None:
            self._append(self._resampler.flush())  # no audio follows it: it must not wait
        if not self._waiting:
            if self._sounding and self._finished:
                self._sounding = False
                self._emit("output_audio_buffer.stopped")
            return None
        frame = self._cut(min(FRAME, self._waiting))
        self._position_ms = min(self._position_ms + len(frame) * 1000.0 / RATE, self._end_ms)
        self._report_progress()
        return frame if len(frame) == FRAME else np.pad(frame, (0, FRAME - len(frame)))

    def _report_progress(self) -> None:
        if not self._sounding:
            self._sounding = True
            self._frames = 0
            self._emit("output_audio_buffer.started")
        if not self._waiting:
            self._position_ms = self._end_ms
        if not self._waiting or self._frames % _REPORT == 0:
            self.played(self._position_ms)
            if self._reply is not None:
                at = {"turn": self._reply.turn, "item_id": self._reply.item_id}
                self._emit("kuaimei.reply.playing", **at, played_ms=round(self._position_ms, 1))
        self._frames += 1

    def _emit(self, kind: str, **fields: object) -> None:
        if self._reply is not None:
            self._outbox.put({"type": kind, "response_id": self._reply.id, **fields})

    # The buffer

    def _append(self, pcm: Pcm) -> None:
        if self._waiting + len(pcm) > _LIMIT:
            _log.warning("a reply is too far ahead of its playback; dropping audio that does not fit")
            return
        if len(pcm):
            self._pieces.append(pcm)
            self._waiting += len(pcm)

    def _cut(self, samples: int) -> Pcm:
        parts: list[Pcm] = []
        left = samples
        while left:
            piece = self._pieces.popleft()
            if len(piece) > left:
                self._pieces.appendleft(piece[left:])
                piece = piece[:left]
            parts.append(piece)
            left -= len(piece)
        self._waiting -= samples
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _fading(self) -> Pcm | None:
        if not self._sounding or not self._waiting:
            return None
        rest = self._cut(min(_FADE, self._waiting))
        faded = (rest * np.linspace(1.0, 0.0, len(rest))).astype(np.int16)
        return np.pad(faded, (0, FRAME - len(faded)))

    def _drop(self) -> None:
        self._pieces.clear()
        self._waiting = 0
        self._resampler = None
