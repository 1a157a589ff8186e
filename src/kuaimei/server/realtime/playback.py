"""Playback of reply audio: in events, or (`kuaimei.server.webrtc.playout`) on a track."""

import base64
from typing import Protocol

from kuaimei.audio.pcm import Pcm
from kuaimei.server.realtime.codecs import RATES, AudioFormat, OutputEncoder
from kuaimei.server.realtime.send_queue import SendQueue

__all__ = ["EventPlayback", "Playback", "PlayingItem"]

_DELTA_MS = 200
"""Milliseconds of audio in one event: short, so that queued audio can be discarded in small steps."""


class PlayingItem(Protocol):
    """What playback needs of a reply. See `kuaimei.server.realtime.response.RealtimeResponse`."""

    turn: int
    id: str
    item_id: str
    fmt: AudioFormat


class Playback(Protocol):
    """Plays the audio of one reply after the other; all methods return at once."""

    def play(self, reply: PlayingItem, pcm: Pcm, rate: int, start_ms: float) -> None:
        """Append audio that starts at ``start_ms`` of the reply.

        Args:
            reply: The reply.
            pcm: int16 samples.
            rate: Sample rate in Hz.
            start_ms: Position in the reply.
        """
        ...

    def finish(self, reply: PlayingItem) -> None:
        """Mark the reply's audio as complete; may be called more than once."""
        ...

    def silence(self, reply: PlayingItem) -> None:
        """Discard audio not yet sent; on resume, playback restarts from that position."""
        ...

    def on_cleared(self, reply: PlayingItem) -> None:
        """Confirm that the audio was cleared, as the client requested."""
        ...


class EventPlayback:
    """Sends audio as ``response.output_audio.delta``, as fast as it is synthesized; the client plays it."""

    def __init__(self, outbox: SendQueue) -> None:
        self._outbox = outbox
        self._wire: OutputEncoder | None = None
        self._reply = ""

    def play(self, reply: PlayingItem, pcm: Pcm, rate: int, start_ms: float) -> None:
        """Send audio; see `Playback.play`."""
        if self._wire is None or self._reply != reply.id:
            self._wire, self._reply = OutputEncoder(reply.fmt, rate), reply.id
        self._send(reply, self._wire.push(pcm))

    def finish(self, reply: PlayingItem) -> None:
        """Send the few milliseconds still buffered."""
        if self._wire is not None and self._reply == reply.id:
            self._send(reply, self._wire.flush())

    def silence(self, reply: PlayingItem) -> None:
        """Discard what has not been sent."""
        self._outbox.drop_audio(reply.id)
        if self._reply == reply.id:
            self._wire = None

    def on_cleared(self, reply: PlayingItem) -> None:
        """Confirm to the client."""
        self._outbox.put({"type": "output_audio_buffer.cleared", "response_id": reply.id})

    def _send(self, reply: PlayingItem, data: bytes) -> None:
        step = RATES[reply.fmt] * _DELTA_MS // 1000 * (2 if reply.fmt == "audio/pcm" else 1)
        where = {"response_id": reply.id, "output_index": 0, "content_index": 0, "item_id": reply.item_id}
        for start in range(0, len(data), step):
            delta = base64.b64encode(data[start : start + step]).decode("ascii")
            event = {"type": "response.output_audio.delta", **where, "delta": delta}
            self._outbox.put(event, audio_of=reply.id)
