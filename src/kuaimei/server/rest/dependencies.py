"""What all routers share."""

from typing import Annotated, Any, Final, TypeAlias
from uuid import uuid4

from fastapi import Depends, Request
from starlette.responses import JSONResponse, Response

from kuaimei.engines.types import Priority, Ticket
from kuaimei.errors import NotAllowed
from kuaimei.http.errors import ApiError
from kuaimei.http.refusals import Refusals
from kuaimei.people.caller import Caller
from kuaimei.server.services import AppRuntime, ConversationStore

__all__ = [
    "DELETING",
    "REQUEST_TIMEOUT_S",
    "Me",
    "Operator",
    "Owner",
    "RuntimeDep",
    "StoreDep",
    "deleted",
    "ticket",
]

REQUEST_TIMEOUT_S = 120.0
"""Patience of a request with an engine that gives nothing."""


DELETING: Final[dict[int | str, dict[str, Any]]] = {
    202: {"description": "Nobody finds it any more; what is left of it is being deleted."}
}
"""What a deletion may answer besides 204."""


def _runtime(request: Request) -> AppRuntime:
    runtime: AppRuntime = request.app.state.runtime
    return runtime


def _archive(request: Request) -> ConversationStore:
    store = _runtime(request).store
    if store is None:
        raise ApiError("nothing is kept here: KUAIMEI_STORE__KEEP is off", status=404, code="not_kept")
    return store


def _owner(request: Request) -> str:
    owner: str = request.state.owner
    return owner


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def _operator(request: Request) -> Caller:
    caller: Caller = request.state.caller
    if caller.role != "operator":
        refusals: Refusals = request.app.state.refusals
        refusals.note("not_allowed", request.client.host if request.client else "")
        raise NotAllowed("only operators may see this: ask whoever runs the server")
    return caller


RuntimeDep: TypeAlias = Annotated[AppRuntime, Depends(_runtime)]
StoreDep: TypeAlias = Annotated[ConversationStore, Depends(_archive)]
Owner: TypeAlias = Annotated[str, Depends(_owner)]
"""Id of the person who asks, to whom belongs what is asked for."""
Me: TypeAlias = Annotated[Caller, Depends(_caller)]
"""Who asks, and how they came in."""
Operator: TypeAlias = Annotated[Caller, Depends(_operator)]
"""The same, who must be an operator."""


def deleted(done: bool) -> Response:
    """The answer to a deletion.

    Args:
        done: Nothing is left; else that goes on, also after a restart.
    """
    if done:
        return Response(status_code=204)
    return JSONResponse({"object": "kuaimei.deletion", "state": "deleting"}, status_code=202)


def ticket() -> Ticket:
    """A request's place in the queues: behind every live turn, in turn with other requests."""
    return Ticket(session=f"request_{uuid4().hex[:12]}", priority=Priority.BACKGROUND)
