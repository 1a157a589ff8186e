"""``/v1/realtime/calls``: starts and ends calls, and keeps the registry of active ones."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from kuaimei.errors import KuaimeiError, NotFound
from kuaimei.http.errors import ApiError
from kuaimei.server import ice_servers
from kuaimei.server.realtime.connections import (
    ClientConnection,
    ConnectionManager,
    ConnectionRefused,
    ConnectRequest,
)
from kuaimei.server.realtime.protocol import ProtocolError, new_id, read_object
from kuaimei.server.realtime.transport import Client, CloseReason
from kuaimei.server.rest.dependencies import Me, Owner, RuntimeDep
from kuaimei.server.webrtc.call import PeerSession
from kuaimei.settings import ServerSettings, is_loopback
from kuaimei.system.failures import trace_of

__all__ = ["CallRegistry", "router"]

_log = logging.getLogger(__name__)
router = APIRouter()

_CONNECT_S = 20.0
"""Seconds to wait for a client to connect after its answer; it holds a slot meanwhile."""
_ENCODERS = 2
"""Threads of the audio encoder: a frame takes a third of a millisecond and must not wait for the engines."""


@dataclass(slots=True, eq=False)
class _ActiveCall:
    call: PeerSession
    owner: str
    places: ExitStack
    ended: asyncio.Event
    task: asyncio.Task[None] | None = None


class CallRegistry:
    """All active calls of a server.

    Args:
        connections: Admits the clients.
        settings: ICE servers and address.
    """

    def __init__(self, connections: ConnectionManager, settings: ServerSettings) -> None:
        self._connections = connections
        self._settings = settings
        self._open: dict[str, _ActiveCall] = {}
        self._executor = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="opus")

    async def begin(
        self, offer: str, client: Client, wish: ConnectRequest, session: dict[str, Any] | None
    ) -> tuple[str, str]:
        """Start a call.

        Args:
            offer: SDP.
            client: The client.
            wish: What it requests.
            session: As in ``session.update``; None: unchanged.

        Returns:
            Id of the call, and the SDP answer.

        Raises:
            KuaimeiError: If the call cannot start, with the reason.
        """
        with ExitStack() as entering:
            visit = await self._connections.admit(entering, client, wish)
            if session:
                visit = replace(visit, config=visit.config.update(session))
            servers = ice_servers.client_ice_servers(self._settings.ice_servers, "kuaimei")
            call = PeerSession(servers, self._executor, loopback=is_loopback(self._settings.host))
            try:
                answer = await call.answer(offer)
            except BaseException:
                await call.close()
                raise
            places = entering.pop_all()
        opened = _ActiveCall(call, client.owner, places, asyncio.Event())
        call_id = new_id("rtc")
        self._open[call_id] = opened
        opened.task = asyncio.ensure_future(self._run(call_id, opened, visit))
        return call_id, answer

    def hang_up(self, call_id: str, owner: str) -> None:
        """End a call.

        Raises:
            NotFound: If there is none of that id that belongs to ``owner``.
        """
        opened = self._open.get(call_id)
        if opened is None or opened.owner != owner:
            raise NotFound(f"unknown call {call_id[:80]!r}")
        opened.ended.set()

    async def close(self) -> None:
        """End all calls."""
        tasks = [opened.task for opened in self._open.values() if opened.task is not None]
        for opened in self._open.values():
            opened.ended.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._executor.shutdown(wait=False)

    async def _run(self, call_id: str, opened: _ActiveCall, visit: ClientConnection) -> None:
        call = opened.call
        hanging_up = asyncio.ensure_future(opened.ended.wait())
        talking = asyncio.ensure_future(self._talk(call, visit))
        try:
            await asyncio.wait((talking, hanging_up), return_when=asyncio.FIRST_COMPLETED)
            if talking.done() and (goodbye := talking.result()) is not None:
                await call.disconnect(goodbye)
        except KuaimeiError as error:
            await call.disconnect(CloseReason(1011, str(error), error.kind))
        except Exception as error:
            _log.error("a call failed:\n%s", trace_of(error))
        finally:
            for task in (talking, hanging_up):
                task.cancel()
            await asyncio.gather(talking, hanging_up, return_exceptions=True)
            await call.close()
            opened.places.close()
            del self._open[call_id]

    async def _talk(self, call: PeerSession, visit: ClientConnection) -> CloseReason | None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                await call.channel.opened.wait()
        except TimeoutError:
            return None  # there is no client to tell
        return await self._connections.serve(visit, call)


@router.post("/v1/realtime/calls", status_code=201, response_class=Response)
async def create_call(
    request: Request,
    runtime: RuntimeDep,
    caller: Me,
    model: Annotated[str, Query()] = "",
    session: Annotated[str, Query()] = "",
    takeover: Annotated[bool, Query()] = False,
    person: Annotated[str, Query()] = "",
) -> Response:
    """Start a call from an SDP offer, alone (``application/sdp``) or in a form with ``sdp`` and ``session``.

    Args:
        model: A name from ``/v1/models``; empty: the server's own.
        session: Id of an earlier session to continue (also as header ``x-kuaimei-session``).
        takeover: End another connection that has the session: for clients that lost theirs.
        person: The speaker, by an id of the client's own, see `ConnectRequest.person`.
    """
    if not runtime.settings.server.webrtc:
        told = "WebRTC is turned off (KUAIMEI_SERVER__WEBRTC): use the WebSocket"
        raise ApiError(told, status=503, code="webrtc_unavailable")
    offer, update = await _read(request)
    if update is not None and not model and isinstance(update.get("model"), str):
        # As over WebSocket: an unknown model is reported, and the server's own replies.
        model = update["model"]
        update = {name: value for name, value in update.items() if name != "model"}
    client = Client(caller, request.headers.get("user-agent", "")[:200], "webrtc")
    earlier = session or request.headers.get("x-kuaimei-session", "")
    wish = ConnectRequest(model, earlier, takeover, person)
    calls: CallRegistry = request.app.state.calls
    try:
        call_id, answer = await calls.begin(offer, client, wish, update)
    except ConnectionRefused as turned:
        headers = {"Retry-After": "5"} if turned.status == 503 else {}
        raise ApiError(str(turned), status=turned.status, code=turned.code, headers=headers) from None
    except ProtocolError as error:
        raise ApiError(str(error), code=error.code, param=error.param) from None
    headers = {"Location": f"/v1/realtime/calls/{call_id}"}
    return Response(answer, status_code=201, media_type="application/sdp", headers=headers)


@router.post("/v1/realtime/calls/{call}/hangup")
async def hang_up(call: str, request: Request, owner: Owner) -> Response:
    """End a call."""
    calls: CallRegistry = request.app.state.calls
    calls.hang_up(call, owner)
    return Response(status_code=200)


async def _read(request: Request) -> tuple[str, dict[str, Any] | None]:
    """Return the offer and the session's configuration, if given."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/sdp":
        return _text(await request.body(), "the body"), None
    if kind != "multipart/form-data":
        told = "send the SDP offer as application/sdp, or a form with the fields sdp and session"
        raise ApiError(told, status=415, code="unsupported_media_type")
    async with request.form(max_files=2, max_fields=4) as form:
        offer = await _field(form.get("sdp"), "sdp")
        session = await _field(form.get("session"), "session")
    if not offer:
        raise ApiError("the field sdp is missing", param="sdp")
    if not session:
        return offer, None
    try:
        update, _ = read_object(session)
    except ProtocolError as error:
        told = "the field session is not a JSON object" if error.code == "invalid_json" else str(error)
        raise ApiError(told, code=error.code, param="session") from None
    return offer, update


async def _field(value: UploadFile | str | None, name: str) -> str:
    if isinstance(value, UploadFile):
        return _text(await value.read(), name)
    return value or ""


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ApiError(f"{where} is not valid UTF-8", code="invalid_sdp", param="sdp") from None
