"""Receive and send loops of a client's session, and its time limits."""

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
"""Maximum characters of one client event: half a minute of audio."""
OUTBOX_LIMIT = 8 * 1024 * 1024
"""Maximum characters queued for one client: two minutes of audio."""


class IdleTimer:
    """Time of the last activity. Silent audio, of which a forgotten tab sends hours, is no activity.

    An observer of the conversation.
    """

    def __init__(self) -> None:
        self._at = asyncio.get_running_loop().time()

    def __call__(self, event: Event) -> None:
        """Count any event of the conversation as activity."""
        self.touch()

    def touch(self) -> None:
        """Record activity."""
        self._at = asyncio.get_running_loop().time()

    async def wait_until_idle(self, patience_s: float) -> CloseReason:
        """Wait until there was no activity for ``patience_s``."""
        loop = asyncio.get_running_loop()
        while (left_s := self._at + patience_s - loop.time()) > 0:  # noqa: ASYNC110 (no event to wait for)
            await asyncio.sleep(left_s)
        return CloseReason(1000, f"no activity for {patience_s:g} s")


async def expire(gateway: ServerEventEmitter, lasting_s: float) -> CloseReason:
    """Wait until a connection has lasted ``lasting_s``, with a notice to the client a minute before."""
    await asyncio.sleep(max(0.0, lasting_s - _NOTICE_S))
    notice_s = min(_NOTICE_S, lasting_s)
    gateway.send({"type": "kuaimei.session.ending", "seconds": notice_s})
    await asyncio.sleep(notice_s)
    told = f"the connection reached its limit of {lasting_s:g} s; reconnect with the session's id to continue"
    return CloseReason(1000, told, "session_expired")


async def receive_loop(
    transport: Transport,
    commands: ClientEventHandler,
    gateway: ServerEventEmitter,
    activity: IdleTimer,
    held: Sequence[str | None],
) -> None:
    """Execute a client's events until it disconnects.

    Args:
        transport: Delivers the events.
        commands: Executes them.
        gateway: Sends errors to the client.
        activity: Records activity.
        held: What the client sent while it was queued.
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
    """Send queued events until the client disconnects (returns None) or reads too slowly."""
    while (text := await outbox.take()) is not None:
        try:
            await transport.send(text)
        except Disconnected:
            return None
    return CloseReason(1013, "the client reads events too slowly: too many are queued")


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
            raise ProtocolError("events must be sent as text frames", code="invalid_frame")
        if len(text) > FRAME_LIMIT:
            raise ProtocolError(
                f"an event may have at most {FRAME_LIMIT} characters: send the audio in smaller pieces",
                code="event_too_large",
            )
        event = parse(text)
        event_id = event.event_id
        if not isinstance(event, AppendAudio):
            activity.touch()
        await commands.handle(event)
        heard = isinstance(event, AppendAudio)  # audio has its own rate limit
    except KuaimeiError as error:
        gateway.send(error_event(error, event_id))
    await pace.keep(0 if heard else len(text or ""))
