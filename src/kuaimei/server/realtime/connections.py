"""Lifecycle of a session: admission, queueing, conversation and end, for any transport."""

import asyncio
import logging
import re
from collections.abc import Coroutine, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from kuaimei.dialogue.events import Observer
from kuaimei.errors import Conflict, KuaimeiError, NotFound, QueueFull, StoreError
from kuaimei.people.authentication import Authentication
from kuaimei.server.admission import Admission, QueueSlot, SessionLease
from kuaimei.server.allowed_voices import UsableVoices
from kuaimei.server.metrics import Metrics
from kuaimei.server.model_names import DEFAULT_MODEL_ID, has_own_model, model_id, models_for
from kuaimei.server.protocols import AppRuntime
from kuaimei.server.realtime.admission_queue import wait_for_place
from kuaimei.server.realtime.client_events import ClientEventHandler
from kuaimei.server.realtime.config import SessionConfig, instructions_capacity
from kuaimei.server.realtime.items import REMEMBERED, PriorHistory
from kuaimei.server.realtime.loops import OUTBOX_LIMIT, IdleTimer, expire, receive_loop, send_loop
from kuaimei.server.realtime.protocol import ProtocolError, error_event
from kuaimei.server.realtime.send_queue import SendQueue
from kuaimei.server.realtime.server_events import ServerEventEmitter
from kuaimei.server.realtime.transport import Client, CloseReason, Transport
from kuaimei.store.ids import new_id

__all__ = ["ClientConnection", "ConnectRequest", "ConnectionManager", "ConnectionRefused"]

_log = logging.getLogger(__name__)

_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PERSON_ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TAKEOVER_S = 10.0
"""Seconds to wait for the end of a connection whose session is taken over."""


class ConnectionRefused(KuaimeiError):
    """The client is not admitted, with the reason.

    Args:
        message: One clear sentence.
        code: Short machine-readable label.
        close: WebSocket close code.
        status: HTTP status.
    """

    kind = "turned_away"

    def __init__(self, message: str, code: str, close: int, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.close = close
        self.status = status


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """What a client requests when it connects.

    Attributes:
        model: A name from ``/v1/models``; empty: the server's own.
        session: Id of an earlier session to continue; empty: a new one.
        takeover: Take the session over if another connection has it.
        person: The speaker, by an id of the client's own. Speech is compared with what the same person said
            before. Empty: only with this session.
    """

    model: str = ""
    session: str = ""
    takeover: bool = False
    person: str = ""


@dataclass(frozen=True, slots=True)
class ClientConnection:
    """An admitted client, which may talk once its slot is not queued any more."""

    session: str
    client: Client
    place: QueueSlot
    claim: SessionLease
    config: SessionConfig
    model: str
    earlier: PriorHistory
    person: str = ""


class ConnectionManager:
    """Admits clients and runs their sessions.

    Args:
        runtime: Provides conversations, settings and the store.
        admission: Limits concurrent sessions.
        metrics: Observes every conversation.
        authentication: Tells when a caller loses access.
    """

    def __init__(
        self, runtime: AppRuntime, admission: Admission, metrics: Metrics, authentication: Authentication
    ) -> None:
        self._runtime = runtime
        self._admission = admission
        self._metrics = metrics
        self._authentication = authentication
        self._speaking: set[tuple[ServerEventEmitter, ClientEventHandler]] = set()
        if runtime.voices is not None:
            runtime.voices.context.withdrawn.append(self._withdraw)

    async def admit(self, places: ExitStack, client: Client, wish: ConnectRequest) -> ClientConnection:
        """Admit ``client``; it holds session and slot while ``places`` is open.

        Args:
            places: Receives the session lease and the slot.
            client: The client.
            wish: What it requests.

        Raises:
            ConnectionRefused: If the request is not allowed, or the queue is full.
            StoreError: If the session's history cannot be read.
        """
        if wish.session and not _SESSION.fullmatch(wish.session):
            told = "a session id consists of up to 64 letters, digits, '_' and '-'"
            raise ConnectionRefused(told, "session_not_found", 1008, 404)
        if wish.person and not _PERSON_ID_PATTERN.fullmatch(wish.person):
            told = "a person's id consists of up to 64 letters, digits, '_' and '-'"
            raise ConnectionRefused(told, "invalid_person", 1008, 400)
        session = wish.session or new_id("sess")
        if wish.session:
            await self._check_owner(session, client.owner)
        holder = self._admission.lease_owner(session)
        if holder is not None and not wish.takeover:
            told = "this session is open in another connection"
            raise ConnectionRefused(told, "session_in_use", 1008, 409)
        try:
            # Before the other connection ends, so that its slot goes to this one and not to the queue.
            place = places.enter_context(self._admission.enqueue(first=holder is not None))
        except QueueFull as full:
            self._metrics.refused()
            raise ConnectionRefused(str(full), "too_many_sessions", 1013, 503) from None
        await self._take_over(session)
        claim = places.enter_context(self._admission.claim(session))
        earlier = await self._earlier(session) if wish.session else PriorHistory()
        config = self._config(client.owner)
        return ClientConnection(session, client, place, claim, config, wish.model, earlier, wish.person)

    async def serve(self, visit: ClientConnection, transport: Transport) -> CloseReason | None:
        """Serve one client until it disconnects (returns None) or is disconnected."""
        outbox = SendQueue(OUTBOX_LIMIT)
        with self._authentication.staying(visit.client.caller) as ended:
            ends: set[Coroutine[Any, Any, CloseReason | None]] = {
                self._talk(visit, transport, outbox),
                send_loop(transport, outbox),
                _disconnected(visit.claim),
                _revoked(ended),
            }
            tasks = [asyncio.ensure_future(end) for end in ends]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                return next(iter(done)).result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _talk(
        self, visit: ClientConnection, transport: Transport, outbox: SendQueue
    ) -> CloseReason | None:
        held = await wait_for_place(visit.place, self._admission, transport, outbox)
        if held is None:
            return None
        await self._remember(visit)
        gateway = ServerEventEmitter(visit.session, outbox, visit.config, transport.playback(outbox))
        gateway.items.register(visit.earlier)
        activity = IdleTimer()
        observers: Sequence[Observer] = (gateway, self._metrics, activity)
        conversing = self._runtime.open_conversation(
            visit.session,
            observers,
            reply_options=visit.config.reply_options(),
            earlier=visit.earlier.messages,
            first_turn=visit.earlier.turns + 1,
            owner=visit.client.owner,
            client=_about(visit),
        )
        async with conversing as conversation:
            commands = ClientEventHandler(visit.session, conversation, gateway)
            commands.apply(visit.config)
            gateway.send({"type": "session.created", "session": visit.config.describe(visit.session)})
            if visit.model:
                try:
                    gateway.config = visit.config.update({"model": visit.model})
                except ProtocolError as error:  # reported, and the server's own model replies
                    gateway.send(error_event(error))
            transport.attach(conversation)
            speaking = (gateway, commands)
            self._speaking.add(speaking)
            server = self._runtime.settings.server
            try:
                with self._rendered(visit.session, gateway), self._analysed(visit.session, gateway):
                    return await _first_of(
                        receive_loop(transport, commands, gateway, activity, held),
                        activity.wait_until_idle(server.idle_timeout_s),
                        expire(gateway, server.max_session_s),
                    )
            finally:
                self._speaking.discard(speaking)

    def _withdraw(self, voice: str) -> None:
        """Switch sessions that may no longer use ``voice`` to their default voice."""
        for gateway, commands in self._speaking:
            config = gateway.config
            if config.voice == voice and voice not in config.voices:
                commands.follow(replace(config, voice=self._default(config)))

    def _default(self, config: SessionConfig) -> str:
        configured = self._runtime.settings.voice
        return configured if configured in config.voices else config.voices[0]

    def _rendered(self, session: str, gateway: ServerEventEmitter) -> AbstractContextManager[None]:
        """Announce high-quality renderings of the session's replies, for the length of the block."""
        hq = self._runtime.hq
        return hq.announcements.subscribe(session, gateway.hq_ready) if hq is not None else nullcontext()

    def _analysed(self, session: str, gateway: ServerEventEmitter) -> AbstractContextManager[None]:
        """Announce speech scores of the session's utterances, for the length of the block."""
        analysis = self._runtime.analysis
        return analysis.announcements.subscribe(session, gateway.scored) if analysis else nullcontext()

    async def _take_over(self, session: str) -> None:
        """End other connections that have the session."""
        try:
            async with asyncio.timeout(_TAKEOVER_S):
                while (holder := self._admission.lease_owner(session)) is not None:
                    holder.lost.set()
                    await holder.over.wait()
        except TimeoutError:
            told = "the session's other connection did not close in time"
            raise ConnectionRefused(told, "session_in_use", 1008, 409) from None

    async def _check_owner(self, session: str, owner: str) -> None:
        told = f"there is no earlier session {session!r}"
        if self._runtime.store is None:
            raise ConnectionRefused(f"{told}: this server stores no sessions", "session_not_found", 1008, 404)
        try:
            found = await self._runtime.store.session(session)
        except NotFound:
            raise ConnectionRefused(told, "session_not_found", 1008, 404) from None
        if found.owner != owner:
            raise ConnectionRefused(told, "session_not_found", 1008, 404)

    async def _earlier(self, session: str) -> PriorHistory:
        """Return the session's history; the connection that had the session must have ended."""
        store = self._runtime.store
        if store is None:
            return PriorHistory()
        return PriorHistory.of(await store.latest(session, REMEMBERED))

    async def _remember(self, visit: ClientConnection) -> None:
        store = self._runtime.store
        if store is None or visit.earlier.turns:
            return
        try:
            await store.ensure_session(visit.session, _about(visit), owner=visit.client.owner)
        except (StoreError, Conflict) as error:  # the recorder creates it once the database is back
            _log.warning("session %s starts without the database: %s", visit.session, error)

    def _config(self, person: str) -> SessionConfig:
        runtime = self._runtime
        voices = UsableVoices(runtime, person)
        recognizer = next((model_id(s) for s in runtime.loaded if s.role == "asr"), DEFAULT_MODEL_ID)
        return SessionConfig(
            settings=runtime.settings,
            voices=voices,
            models=models_for(runtime, "llm"),
            recognizer=recognizer,
            voice=voices.default,
            instructions_tokens=instructions_capacity(runtime.settings, embedded=has_own_model(runtime)),
        )


def _about(visit: ClientConnection) -> dict[str, Any]:
    """Return what is stored about the client with its session."""
    client = visit.client
    about = {"agent": client.agent, "transport": client.transport}
    return {**about, "person": visit.person} if visit.person else about


async def _disconnected(claim: SessionLease) -> CloseReason:
    await claim.lost.wait()
    return CloseReason(1008, "the session continues in another connection", "session_taken_over")


async def _revoked(ended: asyncio.Event) -> CloseReason:
    await ended.wait()
    told = "the key of this connection was revoked: ask whoever runs the server for a new one"
    return CloseReason(1008, "key_revoked", "key_revoked", told)


async def _first_of(
    talking: Coroutine[Any, Any, None], *ends: Coroutine[Any, Any, CloseReason]
) -> CloseReason | None:
    tasks: list[asyncio.Task[Any]] = [asyncio.ensure_future(work) for work in (talking, *ends)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
            return None
        goodbye: CloseReason = next(iter(done)).result()
        return goodbye
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
