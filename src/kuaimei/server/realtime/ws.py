"""``/v1/realtime``: who may talk, as which session, and how it begins and ends."""

import asyncio
import logging
import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.websockets import WebSocket, WebSocketDisconnect

from kuaimei.dialogue.events import Observer
from kuaimei.engines.types import Message
from kuaimei.errors import KuaimeiError, NotFound, StoreError
from kuaimei.server.house import House
from kuaimei.server.limits import Admission
from kuaimei.server.metrics import Metrics
from kuaimei.server.names import OWN_MODEL, model_id, models_for
from kuaimei.server.realtime.commands import Commands
from kuaimei.server.realtime.config import SessionConfig
from kuaimei.server.realtime.gateway import Gateway
from kuaimei.server.realtime.outbox import Outbox
from kuaimei.server.realtime.protocol import ProtocolError, ServerEvent, error_event, new_id
from kuaimei.server.realtime.session import OUTBOX_LIMIT, Goodbye, converse
from kuaimei.server.security import owner_of
from kuaimei.store.ids import new_id as new_session_id

__all__ = ["router"]

_log = logging.getLogger(__name__)
router = APIRouter()

_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_CLOSE_S = 2.0
"""Patience with a client that is told goodbye."""


class _TurnedAway(Exception):
    """The client may not talk, and why."""

    def __init__(self, message: str, code: str, close: int) -> None:
        super().__init__(message)
        self.code = code
        self.close = close


@router.websocket("/v1/realtime")
async def realtime(
    socket: WebSocket,
    model: Annotated[str, Query()] = "",
    session: Annotated[str, Query()] = "",
) -> None:
    """A spoken conversation in the OpenAI Realtime protocol.

    Args:
        socket: The client.
        model: A name from ``/v1/models``; empty: the house's own.
        session: Id of an earlier session to go on with (also as header ``x-kuaimei-session``).
    """
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol="realtime" if "realtime" in offered else None)
    wanted = session or socket.headers.get("x-kuaimei-session", "")
    with ExitStack() as places:
        try:
            session_id = _admit(socket, places, wanted)
            goodbye = await _talk(socket, session_id, model, resume=bool(wanted))
        except _TurnedAway as turned:
            await _send(socket, error_event(ProtocolError(str(turned), code=turned.code)))
            goodbye = Goodbye(turned.close, str(turned))
        except KuaimeiError as error:
            await _send(socket, error_event(error))
            goodbye = Goodbye(1011, str(error))
        # The place is kept until the goodbye is said: whoever reconnects finds it free.
        if goodbye is not None:
            await _close(socket, goodbye)


def _admit(socket: WebSocket, places: ExitStack, wanted: str) -> str:
    """Id of the session that the client may have, kept for it while ``places`` is open."""
    admission: Admission = socket.app.state.admission
    metrics: Metrics = socket.app.state.metrics
    if wanted and not _SESSION.fullmatch(wanted):
        raise _TurnedAway("a session id has up to 64 letters, digits, '_' and '-'", "session_not_found", 1008)
    if not places.enter_context(admission.admit()):
        metrics.refused()
        told = f"all {admission.capacity} places are taken; try again later"
        raise _TurnedAway(told, "too_many_sessions", 1013)
    session_id = wanted or new_session_id("sess")
    if not places.enter_context(admission.claim(session_id)):
        raise _TurnedAway("this session is open in another connection", "session_in_use", 1008)
    return session_id


async def _talk(socket: WebSocket, session_id: str, model: str, *, resume: bool) -> Goodbye | None:
    house: House = socket.app.state.house
    metrics: Metrics = socket.app.state.metrics
    earlier: Sequence[Message] = ()
    first_turn = 1
    if resume:
        earlier, first_turn = await _earlier(house, session_id, socket.state.owner)
    elif house.store is not None:
        try:
            await house.store.ensure_session(session_id, _client(socket))
        except StoreError as error:  # the recorder makes it once the database is back
            _log.warning("session %s begins without its database: %s", session_id, error)
    config = _config(house)
    outbox = Outbox(OUTBOX_LIMIT)
    gateway = Gateway(session_id, outbox, config)
    observers: Sequence[Observer] = (gateway, metrics)
    conversing = house.converse(
        session_id, observers, manner=config.manner(), earlier=earlier, first_turn=first_turn
    )
    async with conversing as conversation:
        gateway.say({"type": "session.created", "session": config.describe(session_id)})
        commands = Commands(session_id, conversation, gateway)
        if model:
            try:
                gateway.config = config.update({"model": model})
            except ProtocolError as error:  # told, and the house's own model answers
                gateway.say(error_event(error))
        idle_timeout_s = house.settings.server.idle_timeout_s
        return await converse(socket, commands, gateway, outbox, idle_timeout_s)


async def _earlier(house: House, session_id: str, owner: str) -> tuple[Sequence[Message], int]:
    """What was said in a session of this owner, and the number of its next turn."""
    told = f"there is no earlier session called {session_id!r}"
    if house.store is None:
        raise _TurnedAway(f"{told}: nothing is kept here", "session_not_found", 1008)
    try:
        found = await house.store.session(session_id)
    except NotFound:
        raise _TurnedAway(told, "session_not_found", 1008) from None
    if owner_of(found) != owner:
        raise _TurnedAway(told, "session_not_found", 1008)
    return await house.store.history(session_id), await house.store.last_turn(session_id) + 1


def _config(house: House) -> SessionConfig:
    voices = house.engines.synthesizer.voices
    recognizer = next((model_id(s) for s in house.loaded if s.role == "asr"), OWN_MODEL)
    return SessionConfig(
        settings=house.settings,
        voices=voices,
        models=models_for(house, "llm"),
        recognizer=recognizer,
        voice=house.settings.voice or voices[0],
    )


def _client(socket: WebSocket) -> dict[str, Any]:
    """What is remembered of who began the session."""
    agent = socket.headers.get("user-agent", "")[:200]
    return {"owner": socket.state.owner, "agent": agent, "transport": "websocket"}


async def _send(socket: WebSocket, event: ServerEvent) -> None:
    with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await socket.send_json({**event, "event_id": new_id("event")})


async def _close(socket: WebSocket, goodbye: Goodbye) -> None:
    reason = goodbye.reason.encode()[:120].decode(errors="ignore")  # the protocol allows 123 bytes
    with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await socket.close(goodbye.code, reason)
