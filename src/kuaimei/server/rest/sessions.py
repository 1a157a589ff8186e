"""``/api/sessions``: what was said, listed, taken along, deleted."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from kuaimei.errors import NotFound
from kuaimei.server.course import spoken_session
from kuaimei.server.house import Archive
from kuaimei.server.rest.common import DELETING, InHouse, Kept, Owner, deleted
from kuaimei.server.rest.export import export
from kuaimei.server.tiers import address, hq_body
from kuaimei.store.rows import Session, Utterance

__all__ = ["owned", "owned_utterance", "portable", "router", "utterance_body"]

router = APIRouter(prefix="/api/sessions")

TITLE_LIMIT = 200
"""Characters."""


async def owned(store: Archive, session: str, owner: str) -> Session:
    """The session, if it is this owner's.

    Raises:
        NotFound: If there is none, or it is somebody else's: that it exists is nobody's business.
    """
    found = await store.session(session)
    if found.owner != owner:
        raise NotFound(f"no session {session} is kept")
    return found


async def owned_utterance(store: Archive, utterance: str, owner: str) -> tuple[Utterance, Session]:
    """The utterance and its session, if they are this owner's.

    Raises:
        NotFound: If there is none, or it is somebody else's: that it exists is nobody's business.
    """
    found = await store.utterance(utterance)
    session = await store.session(found.session_id)
    if session.owner != owner:
        raise NotFound(f"no utterance {utterance} is kept")
    return found, session


async def portable(
    store: Archive, session: Session, *, analysed: bool
) -> tuple[Sequence[Utterance], dict[str, Any], Sequence[dict[str, Any]]]:
    """What `kuaimei.server.rest.export` writes of a session: utterances, data, how they were spoken.

    Args:
        store: Where it is kept.
        session: Which.
        analysed: Somebody analyses.
    """
    utterances = await store.utterances(session.id)
    turns = await store.turns(session.id)
    data = {
        "session": _body(session),
        "utterances": [utterance_body(utterance) for utterance in utterances],
        "turns": [asdict(turn) for turn in turns],
    }
    spoken = await spoken_session(store, session, utterances, enabled=analysed, contours=True)
    return utterances, data, spoken


def _body(session: Session) -> dict[str, Any]:
    return {"object": "kuaimei.session", **asdict(session)}


def utterance_body(utterance: Utterance) -> dict[str, Any]:
    """An utterance as clients see it."""
    return {
        "object": "kuaimei.utterance",
        **asdict(utterance),
        "audio": address(utterance.id) if utterance.bytes else None,
        "hq": hq_body(utterance.id, utterance.hq),
    }


@router.get("")
async def list_sessions(
    store: Kept,
    owner: Owner,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: str | None = None,
    search: Annotated[str, Query(max_length=200)] = "",
) -> dict[str, Any]:
    """The newest first; ``before`` is the last id of the page before, ``search`` words that were said."""
    found = await store.sessions(limit, before=before, search=search, owner=owner)
    data = [_body(session) for session in found]
    return {"object": "list", "data": data, "has_more": len(found) == limit}


@router.get("/{session}")
async def get_session(session: str, store: Kept, owner: Owner) -> dict[str, Any]:
    """One session."""
    return _body(await owned(store, session, owner))


@router.get("/{session}/utterances")
async def list_utterances(session: str, store: Kept, owner: Owner) -> dict[str, Any]:
    """Everything said in it, by either side, in order."""
    await owned(store, session, owner)
    data = [utterance_body(utterance) for utterance in await store.utterances(session)]
    return {"object": "list", "data": data}


@router.get("/{session}/turns")
async def list_turns(session: str, store: Kept, owner: Owner) -> dict[str, Any]:
    """Timings and failures of its turns, in order."""
    await owned(store, session, owner)
    return {"object": "list", "data": [asdict(turn) for turn in await store.turns(session)]}


@router.get("/{session}/export")
async def export_session(session: str, house: InHouse, store: Kept, owner: Owner) -> StreamingResponse:
    """All of it as one ZIP file: transcript, data, how it was spoken, recordings."""
    found = await owned(store, session, owner)
    utterances, data, spoken = await portable(store, found, analysed=house.analysis is not None)
    archive: AsyncIterator[bytes] = export(store, session, data, utterances, spoken)
    headers = {"Content-Disposition": f'attachment; filename="{found.id}.zip"'}
    return StreamingResponse(archive, media_type="application/zip", headers=headers)


class _Rename(BaseModel):
    title: str = Field(max_length=TITLE_LIMIT)


@router.patch("/{session}")
async def rename_session(session: str, change: _Rename, store: Kept, owner: Owner) -> dict[str, Any]:
    """Give it a title; an empty one: the first thing said is its title again."""
    await owned(store, session, owner)
    await store.rename_session(session, " ".join(change.title.split()))
    return _body(await store.session(session))


@router.delete("/{session}", status_code=204, responses=DELETING)
async def delete_session(session: str, store: Kept, owner: Owner) -> Response:
    """Delete rows, recordings, and what waits to be done for it; 202: it is gone for all, and goes on."""
    going_on = await store.deletion("session", session)
    if going_on is None or going_on.owner != owner:
        await owned(store, session, owner)
    return deleted(await store.delete_session(session))
