"""Waiting in the admission queue: reports positions to the client and buffers its events."""

import asyncio
import json
from contextlib import suppress

from kuaimei.server.admission import Admission, QueueSlot
from kuaimei.server.realtime.protocol import ProtocolError, error_event
from kuaimei.server.realtime.send_queue import SendQueue
from kuaimei.server.realtime.transport import Disconnected, Transport

__all__ = ["wait_for_place"]

_MAX_BUFFERED_EVENTS = 64
"""Events buffered for a queued client."""
_HELD_CHARACTERS = 256 * 1024


async def wait_for_place(
    place: QueueSlot, admission: Admission, transport: Transport, outbox: SendQueue
) -> list[str | None] | None:
    """Wait until ``place`` is admitted, sending the client its position at every change.

    Args:
        place: The client's slot.
        admission: The queue.
        transport: Delivers the client's events.
        outbox: Queue of events to send.

    Returns:
        What the client sent meanwhile, without audio (it would be stale); None if the client disconnected.
    """
    held: list[str | None] = []
    if place.admitted:
        return held
    _tell(place, admission, outbox)
    reading = asyncio.ensure_future(transport.receive())
    moving = asyncio.ensure_future(place.wait_moved())
    try:
        while not place.admitted:
            await asyncio.wait((reading, moving), return_when=asyncio.FIRST_COMPLETED)
            if moving.done():
                _tell(place, admission, outbox)
                moving = asyncio.ensure_future(place.wait_moved())
            if reading.done():
                _hold(held, reading.result(), outbox)
                reading = asyncio.ensure_future(transport.receive())
    except Disconnected:
        return None
    finally:
        for task in (reading, moving):
            task.cancel()
        with suppress(asyncio.CancelledError, Disconnected):
            await reading
    return held


def _tell(place: QueueSlot, admission: Admission, outbox: SendQueue) -> None:
    queue = {"place": place.number, "waiting": admission.waiting, "capacity": admission.capacity}
    outbox.put({"type": "kuaimei.queue", **queue})


def _hold(held: list[str | None], text: str | None, outbox: SendQueue) -> None:
    if text is not None:
        try:
            event = json.loads(text) if len(text) <= _HELD_CHARACTERS else None
        except (ValueError, RecursionError):
            event = {}
        if event is None or (isinstance(event, dict) and event.get("type") == "input_audio_buffer.append"):
            return
    size = sum(len(one or "") for one in held) + len(text or "")
    if len(held) >= _MAX_BUFFERED_EVENTS or size > _HELD_CHARACTERS:
        told = "too many events while queued; send them again once the session has been created"
        outbox.put(error_event(ProtocolError(told, code="too_many_events")))
        return
    held.append(text)
