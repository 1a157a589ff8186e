"""``/api/me``: the caller's account, and export or deletion of all their data."""

from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from kuaimei.errors import StoreError
from kuaimei.http.client_disconnect import DOWNLOAD_S, Streamed
from kuaimei.http.errors import ApiError
from kuaimei.people.caller import Caller
from kuaimei.people.names import NAME_LIMIT
from kuaimei.server.account_deletion import AccountDeletion
from kuaimei.server.protocols import AppRuntime
from kuaimei.server.rest.dependencies import Me, RuntimeDep, StoreDep
from kuaimei.server.rest.personal_data import export_everything
from kuaimei.text.wellformed import WellFormedText

__all__ = ["NOTICE_VERSION", "router"]

router = APIRouter(prefix="/api/me")

NOTICE_VERSION: Final = "1"
"""Version of the recording notice; changing the text needs a new version, which users must accept again."""
_PATIENCE_S: Final = 15.0
"""Seconds after which a running deletion is answered with 202; it continues in the background."""
_NO_STORE: Final = {"Cache-Control": "no-store"}


class _Agreement(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: WellFormedText = Field(max_length=16)


class _Confirmation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    confirm: WellFormedText = Field(max_length=NAME_LIMIT)


@router.get("")
async def get_me(runtime: RuntimeDep, me: Me) -> JSONResponse:
    """Return the caller's account, what is stored and for how long, and whether they accepted the notice."""
    return JSONResponse(await _body(runtime, me), headers=_NO_STORE)


@router.post("/notice")
async def accept_notice(agreement: _Agreement, runtime: RuntimeDep, me: Me) -> JSONResponse:
    """Accept version ``version`` of the notice on recording and storage; 409 if it is outdated."""
    if agreement.version != NOTICE_VERSION:
        told = f"the notice has been updated to version {NOTICE_VERSION}: show that one and ask again"
        raise ApiError(told, status=409, code="notice_outdated", param="version")
    if runtime.store is not None:
        await runtime.store.people.accept_notice(me.person, agreement.version)
    return JSONResponse(await _body(runtime, me), headers=_NO_STORE)


@router.get("/export", response_model=None)
async def export_me(runtime: RuntimeDep, store: StoreDep, me: Me) -> Response:
    """Download all of the caller's data as a ZIP: sessions and recordings, voices and consent, judgements."""
    person = await store.people.get(me.person)
    archive = export_everything(store, person, analysed=runtime.analysis is not None)
    headers = {"Content-Disposition": f'attachment; filename="kuaimei-{person.id}.zip"', **_NO_STORE}
    return Streamed(archive, total_s=DOWNLOAD_S, media_type="application/zip", headers=headers)


@router.post("/forget")
async def forget_me(confirmation: _Confirmation, request: Request, store: StoreDep, me: Me) -> JSONResponse:
    """Permanently delete all of the caller's data except their keys, then verify that nothing is left.

    The response lists anything that is left. 202: deletion takes longer and continues in the background.
    """
    if confirmation.confirm != me.name:
        told = "to delete everything, confirm with your own name as shown in /api/me"
        raise ApiError(told, code="not_confirmed", param="confirm")
    deletion: AccountDeletion = request.app.state.account_deletion
    sessions, voices = len(await store.people.sessions_of(me.person)), len(await store.voices.all(me.person))
    left: list[str] = []
    status = 200
    try:
        done = await deletion.forget(me.person, _PATIENCE_S)
    except StoreError as error:
        done, left = None, [str(error)]
    if done is None:
        status = 202
    else:
        sessions, voices = done.sessions, done.voices
        left = [f"{place.place}: {place.found}" for place in done.left]
    body = {"object": "kuaimei.forgotten", "sessions": sessions, "voices": voices, "left": left}
    return JSONResponse(body, status_code=status, headers=_NO_STORE)


@router.post("/sign-out", status_code=204)
async def sign_out() -> Response:
    """Make the browser delete everything it has stored for this server; the key stays valid."""
    headers = {"Clear-Site-Data": '"cache", "cookies", "storage"', **_NO_STORE}
    return Response(status_code=204, headers=headers)


async def _body(runtime: AppRuntime, me: Caller) -> dict[str, Any]:
    settings, accepted = runtime.settings, True
    if runtime.store is not None:
        accepted = (await runtime.store.people.get(me.person)).notice_version == NOTICE_VERSION
    return {
        "object": "kuaimei.me",
        "id": me.person,
        "name": me.name,
        "role": me.role,
        "via": me.via,
        "keeping": {
            "keep": runtime.store is not None,
            "retention_days": settings.store.retention_days,
            "voice_retention_days": settings.voices.retention_days,
        },
        "notice": {"version": NOTICE_VERSION, "accepted": accepted},
    }
