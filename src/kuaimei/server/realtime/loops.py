"""One client's session: its events in, the conversation's events out, until either is over."""

import asyncio
from collections.abc import Sequence

from kuaimei.dialogue.events import Event
from kuaimei.errors import KuaimeiError
from kuaimei.server.realtime.client_events import ClientEventHandler
from kuaimei.server.realtime.protocol import AppendAudio, ProtocolError, error_event, parse
from kuaimei.server.realtime.rate_limits import EventPace
from kuaimei.server.realtime.send_queue import SendQueue
from kuaimei.server.realtime.server_events import ServerEventEmitter
from kuaimei.server.realtime.transport import CloseReason, Disconnected, Transport

__all__ = ["FRAME_LIMIT", "OUTBOX_LIMIT", "IdleTimer", "expire", "receive_loop", "send_loop"]

_NOTICE_S = 60.0

FRAME_LIMIT = 2 * 1024 * 1024
"""Characters of one client event: half a minute of audio."""
OUTBOX_LIMIT = 8 * 1024 * 1024
"""Characters waiting for one client: two minutes of audio."""


class IdleTimer:
    """When something last happened: silence, of which a forgotten tab sends hours, is nothing.

    An observer of the conversation like any other.
    """

    def __init__(self) -> None:
        self._at = asyncio.get_running_loop().time()

    def __call__(self, event: Event) -> None:
        """The conversation took a step."""
        self.touch()

    def touch(self) -> None:
        """Something happened."""
        self._at = asyncio.get_running_loop().time()

    async def wait_until_idle(self, patience_s: float) -> CloseReason:
        """Wait until nothing has happened for ``patience_s``."""
        loop = asyncio.get_running_loop()
        while (left_s := self._at + patience_s - loop.time()) > 0:  # noqa: ASYNC110 (nothing is to happen)
            await asyncio.sleep(left_s)
        return CloseReason(1000, f"nothing was said or asked for {patience_s:g} s")


async def expire(gateway: ServerEventEmitter, lasting_s: float) -> CloseReason:
    """Wait until a connection has lasted ``lasting_s``; a minute before, the client is told."""
    await asyncio.sleep(max(0.0, lasting_s - _NOTICE_S))
    notice_s = min(_NOTICE_S, lasting_s)
    gateway.send({"type": "kuaimei.session.ending", "seconds": notice_s})
    await asyncio.sleep(notice_s)
    told = f"the connection has lasted {lasting_s:g} s; connect again with the session's id to go on"
    return CloseReason(1000, told, "session_expired")


async def receive_loop(
    transport: Transport,
    commands: ClientEventHandler,
    gateway: ServerEventEmitter,
    activity: IdleTimer,
    held: Sequence[str | None],
) -> None:
    """Obey one client until it leaves.

    Args:
        held: What it sent before it was its turn.
    """
    pace = EventPace()
    try:
        for text in held:
            await _handle_frame(text, commands, gateway, activity, pace)
        while True:
            await _handle_frame(await transport.receive(), commands, gateway, activity, pace)
    except Disconnected:
        return


async def send_loop(transport: Transport, outbox: SendQueue) -> CloseReason | None:
    """Send what waits, until the client leaves (None) or has to go."""
    while (text := await outbox.take()) is not None:
        try:
            await transport.send(text)
        except Disconnected:
            return None
    return CloseReason(1013, "events are read too slowly, and too many wait")


async def _handle_frame(
    text: str | None,
    commands: ClientEventHandler,
    gateway: ServerEventEmitter,
    activity: IdleTimer,
    pace: EventPace,
) -> None:
    event_id: str | None = None
    heard = False
    try:
        if text is None:
            raise ProtocolError("events are sent as text frames", code="invalid_frame")
        if len(text) > FRAME_LIMIT:
            raise ProtocolError(
                f"an event has at most {FRAME_LIMIT} characters: send the audio in smaller pieces",
                code="event_too_large",
            )
        event = parse(text)
        event_id = event.event_id
        if not isinstance(event, AppendAudio):
            activity.touch()
        await commands.handle(event)
        heard = isinstance(event, AppendAudio)  # sound has a pace of its own
    except KuaimeiError as error:
        gateway.send(error_event(error, event_id))
    await pace.keep(0 if heard else len(text or ""))
