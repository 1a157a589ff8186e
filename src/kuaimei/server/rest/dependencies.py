"""Dependencies and helpers shared by all routers."""

from typing import Annotated, Any, Final, TypeAlias
from uuid import uuid4

from fastapi import Depends, Request
from starlette.responses import JSONResponse, Response

from kuaimei.engines.types import Priority, Ticket
from kuaimei.errors import NotAllowed
from kuaimei.http.errors import ApiError
from kuaimei.http.refusals import Refusals
from kuaimei.people.caller import Caller
from kuaimei.server.protocols import AppRuntime, ConversationStore

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
"""Seconds a request waits for the next piece of output from an engine."""


DELETING: Final[dict[int | str, dict[str, Any]]] = {
    202: {"description": "No longer accessible; deletion continues in the background."}
}
"""OpenAPI entry for deletions that answer 202 instead of 204."""


def _runtime(request: Request) -> AppRuntime:
    runtime: AppRuntime = request.app.state.runtime
    return runtime


def _store(request: Request) -> ConversationStore:
    store = _runtime(request).store
    if store is None:
        raise ApiError("storing is disabled: KUAIMEI_STORE__KEEP is off", status=404, code="not_kept")
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
        raise NotAllowed("operators only: ask the administrator of this server")
    return caller


RuntimeDep: TypeAlias = Annotated[AppRuntime, Depends(_runtime)]
StoreDep: TypeAlias = Annotated[ConversationStore, Depends(_store)]
Owner: TypeAlias = Annotated[str, Depends(_owner)]
"""Id of the calling person; requests only see that person's data."""
Me: TypeAlias = Annotated[Caller, Depends(_caller)]
"""The caller and how they authenticated."""
Operator: TypeAlias = Annotated[Caller, Depends(_operator)]
"""The caller, who must be an operator."""


def deleted(done: bool) -> Response:
    """Return the response to a deletion: 204 or 202.

    Args:
        done: True if everything is deleted; False if deletion continues, even across a restart.
    """
    if done:
        return Response(status_code=204)
    return JSONResponse({"object": "kuaimei.deletion", "state": "deleting"}, status_code=202)


def ticket() -> Ticket:
    """Return a request's scheduling ticket: behind every live turn, round-robin with other requests."""
    return Ticket(session=f"request_{uuid4().hex[:12]}", priority=Priority.BACKGROUND)
