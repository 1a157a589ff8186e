"""Limits on incomplete data channel messages.

aiortc collects fragments without limit, scans all of them at each new one, and raises an unhandled exception
on text that is not UTF-8.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from aiortc import RTCSctpTransport
from aiortc.rtcsctptransport import WEBRTC_STRING, InboundStream

from kuaimei.system.failures import trace_of

__all__ = ["bound"]

_log = logging.getLogger(__name__)

_HELD_BYTES: Final = 256 * 1024
"""Maximum bytes of fragments; the answer to an offer limits messages to 64 KiB."""
_HELD_FRAGMENTS: Final = 1024
_CHANNELS: Final = 16
_STREAMS: Final = "_inbound_streams"


class _Held:
    """Fragments held for all streams of one connection."""

    def __init__(self, exceeded: Callable[[], None]) -> None:
        self.bytes = 0
        self.fragments = 0
        self.closed = False
        self._exceeded = exceeded

    def add(self, size: int, fragments: int) -> bool:
        """Count fragments; return False once a limit was exceeded."""
        self.bytes += size
        self.fragments += fragments
        if not self.closed and (self.bytes > _HELD_BYTES or self.fragments > _HELD_FRAGMENTS):
            self.close("sent too much without completing a message")
        return not self.closed

    def close(self, why: str) -> None:
        """End the connection of a client that broke a rule."""
        if not self.closed:
            self.closed = True
            _log.warning("a client %s; ending its call", why)
            self._exceeded()


class _Stream(InboundStream):
    """A stream whose fragments are counted."""

    def __init__(self, held: _Held) -> None:
        super().__init__()
        self._held = held

    def add_chunk(self, chunk: Any) -> None:
        """Add a fragment, unless a limit was exceeded."""
        if self._held.add(len(chunk.user_data), 1):
            super().add_chunk(chunk)

    def pop_messages(self) -> Any:
        """Return the complete messages."""
        before = sum(len(chunk.user_data) for chunk in self.reassembly), len(self.reassembly)
        messages = list(super().pop_messages())
        after = sum(len(chunk.user_data) for chunk in self.reassembly), len(self.reassembly)
        self._held.add(after[0] - before[0], after[1] - before[1])
        return iter(messages)

    def prune_chunks(self, tsn: int) -> int:
        """Drop fragments that the client has abandoned."""
        fragments = len(self.reassembly)
        size: int = super().prune_chunks(tsn)
        self._held.add(-size, len(self.reassembly) - fragments)
        return size


class _Streams(dict[int, InboundStream]):
    """Streams by number, all counted."""

    def __init__(self, held: _Held) -> None:
        super().__init__()
        self._held = held

    def __setitem__(self, number: int, stream: InboundStream) -> None:
        super().__setitem__(number, _Stream(self._held))


def bound(sctp: RTCSctpTransport, exceeded: Callable[[], None]) -> None:
    """Limit what ``sctp`` holds, and handle malformed messages.

    Args:
        sctp: Of a connection that is not yet established.
        exceeded: Called once, when the client has broken a rule: the connection should end.
    """
    if getattr(sctp, _STREAMS, None) != {} or not hasattr(sctp, "_receive"):
        _log.warning("unsupported aiortc version: the size of incoming messages is not limited")
        return
    held = _Held(exceeded)
    setattr(sctp, _STREAMS, _Streams(held))
    receive = sctp._receive

    async def guarded(stream_id: int, pp_id: int, data: bytes) -> None:
        if held.closed:
            return
        if pp_id == WEBRTC_STRING:
            data = data.decode("utf-8", "replace").encode()
        try:
            await receive(stream_id, pp_id, data)
        except Exception as error:  # aiortc raises arbitrary exceptions on malformed messages
            _log.info("a data channel message could not be processed:\n%s", trace_of(error))
            held.close("sent a malformed message")
        if len(sctp._data_channels) > _CHANNELS:
            held.close("opened too many data channels")

    sctp._receive = guarded  # type: ignore[method-assign]
