"""How much a client's data channels may make the server hold, before a message of theirs is whole.

The library gathers fragments without end, looks through all of them at each new one, and fails in a way that
nobody foresaw at text that is no UTF-8.
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
"""Of fragments; the answer to an offer says that messages have at most 64 KiB."""
_HELD_FRAGMENTS: Final = 1024
_CHANNELS: Final = 16
_STREAMS: Final = "_inbound_streams"


class _Held:
    """Fragments of all streams of one connection."""

    def __init__(self, exceeded: Callable[[], None]) -> None:
        self.bytes = 0
        self.fragments = 0
        self.closed = False
        self._exceeded = exceeded

    def add(self, size: int, fragments: int) -> bool:
        """Whether there may be so much more."""
        self.bytes += size
        self.fragments += fragments
        if not self.closed and (self.bytes > _HELD_BYTES or self.fragments > _HELD_FRAGMENTS):
            self.close("sends messages without an end")
        return not self.closed

    def close(self, why: str) -> None:
        """The client has broken a rule: the connection ends."""
        if not self.closed:
            self.closed = True
            _log.warning("a client %s; its call ends", why)
            self._exceeded()


class _Stream(InboundStream):
    """A stream whose fragments are counted."""

    def __init__(self, held: _Held) -> None:
        super().__init__()
        self._held = held

    def add_chunk(self, chunk: Any) -> None:
        """One more fragment."""
        if self._held.add(len(chunk.user_data), 1):
            super().add_chunk(chunk)

    def pop_messages(self) -> Any:
        """Those that are whole."""
        before = sum(len(chunk.user_data) for chunk in self.reassembly), len(self.reassembly)
        messages = list(super().pop_messages())
        after = sum(len(chunk.user_data) for chunk in self.reassembly), len(self.reassembly)
        self._held.add(after[0] - before[0], after[1] - before[1])
        return iter(messages)

    def prune_chunks(self, tsn: int) -> int:
        """Forget what the client has given up."""
        fragments = len(self.reassembly)
        size: int = super().prune_chunks(tsn)
        self._held.add(-size, len(self.reassembly) - fragments)
        return size


class _Streams(dict[int, InboundStream]):
    """Streams by number, each one counted."""

    def __init__(self, held: _Held) -> None:
        super().__init__()
        self._held = held

    def __setitem__(self, number: int, stream: InboundStream) -> None:
        super().__setitem__(number, _Stream(self._held))


def bound(sctp: RTCSctpTransport, exceeded: Callable[[], None]) -> None:
    """Have ``sctp`` hold little, and survive what a client sends.

    Args:
        sctp: Of a connection that is not yet established.
        exceeded: Called once, when the client has broken a rule: the connection should end.
    """
    if getattr(sctp, _STREAMS, None) != {} or not hasattr(sctp, "_receive"):
        _log.warning("this aiortc gathers its messages elsewhere: their size is not bounded")
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
        except Exception as error:  # what foreign bytes lead to, deep inside the library
            _log.info("a message over a data channel came to nothing\n%s", trace_of(error))
            held.close("sends what is no message")
        if len(sctp._data_channels) > _CHANNELS:
            held.close("opens channels without an end")

    sctp._receive = guarded  # type: ignore[method-assign]
