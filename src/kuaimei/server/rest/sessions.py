"""``/api/sessions``: what was said, listed, taken along, deleted."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any, TypeAlias, TypeVar

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from kuaimei.errors import NotFound
from kuaimei.http.client_disconnect import DOWNLOAD_S, Streamed
from kuaimei.server.rest.dependencies import DELETING, Owner, RuntimeDep, StoreDep, deleted
from kuaimei.server.rest.export import Said, export
from kuaimei.server.rest.threaded_response import in_json
from kuaimei.server.services import ConversationStore
from kuaimei.server.views.renderings import hq_body, rendering_url
from kuaimei.store.rows import SessionRow, UtteranceRow
from kuaimei.text.wellformed import WellFormedText

__all__ = [
    "PAGE",
    "After",
    "Limit",
    "owned",
    "owned_utterance",
    "page_of",
    "portable",
    "router",
    "utterance_body",
]

T = TypeVar("T")

router = APIRouter(prefix="/api/sessions")

TITLE_LIMIT = 200
"""Characters."""
PAGE = 200
"""Utterances or turns that are listed where nobody says how many."""

Limit: TypeAlias = Annotated[int, Query(ge=1, le=500)]
After: TypeAlias = Annotated[str | None, Query(max_length=64)]


async def owned(store: ConversationStore, session: str, owner: str) -> SessionRow:
    """The session, if it is this owner's.

    Raises:
        NotFound: If there is none, or it is somebody else's: that it exists is nobody's business.
    """
    found = await store.session(session)
    if found.owner != owner:
        raise NotFound(f"no session {session} is kept")
    return found


def page_and_more(found: Sequence[T], limit: int) -> tuple[Sequence[T], bool]:
    """What of ``found`` is a page of ``limit``, and whether there is more.

    Args:
        found: One more than the page was asked for, if there is one more.
    """
    return found[:limit], len(found) > limit


async def page_of(
    store: ConversationStore, session: str, limit: int, after: str | None
) -> tuple[Sequence[UtteranceRow], bool]:
    """At most ``limit`` utterances of a session that come after the one of the id ``after``; are there more?

    Raises:
        NotFound: If that one is not in this session (any more): the listing is to be begun anew.
    """
    if after is None:
        return page_and_more(await store.utterances(session, limit + 1), limit)
    last = await store.utterance(after)
    if last.session_id != session:
        raise NotFound(f"no utterance {after} is kept in this session; list it from its beginning")
    return page_and_more(await store.utterances(session, limit + 1, after=last), limit)


async def owned_utterance(
    store: ConversationStore, utterance: str, owner: str
) -> tuple[UtteranceRow, SessionRow]:
    """The utterance and its session, if they are this owner's.

    Raises:
        NotFound: If there is none, or it is somebody else's: that it exists is nobody's business.
    """
    found = await store.utterance(utterance)
    session = await store.session(found.session_id)
    if session.owner != owner:
        raise NotFound(f"no utterance {utterance} is kept")
    return found, session


async def portable(store: ConversationStore, session: SessionRow, *, analysed: bool) -> Said:
    """What `kuaimei.server.rest.export` writes of a session.

    Args:
        store: Where it is kept.
        session: Which.
        analysed: Somebody analyses.
    """
    utterances, turns = await store.utterances(session.id), await store.turns(session.id)

    def described() -> dict[str, Any]:
        return {
            "session": _body(session),
            "utterances": [utterance_body(utterance) for utterance in utterances],
            "turns": [asdict(turn) for turn in turns],
        }

    return Said(session, utterances, described, analysed)


def _body(session: SessionRow) -> dict[str, Any]:
    return {"object": "kuaimei.session", **asdict(session)}


def utterance_body(utterance: UtteranceRow) -> dict[str, Any]:
    """An utterance as clients see it."""
    return {
        "object": "kuaimei.utterance",
        **asdict(utterance),
        "audio": rendering_url(utterance.id) if utterance.bytes else None,
        "hq": hq_body(utterance.id, utterance.hq),
    }


@router.get("", response_model=None)
async def list_sessions(
    store: StoreDep,
    owner: Owner,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: str | None = None,
    search: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """The newest first; ``before`` is the last id of the page before, ``search`` words that were said."""
    sessions = await store.sessions(limit + 1, before=before, search=search, owner=owner)
    found, more = page_and_more(sessions, limit)
    return await in_json(
        lambda: {"object": "list", "data": [_body(session) for session in found], "has_more": more}
    )


@router.get("/{session}")
async def get_session(session: str, store: StoreDep, owner: Owner) -> dict[str, Any]:
    """One session."""
    return _body(await owned(store, session, owner))


@router.get("/{session}/utterances", response_model=None)
async def list_utterances(
    session: str, store: StoreDep, owner: Owner, limit: Limit = PAGE, after: After = None
) -> Response:
    """What was said in it, by either side, in order; ``after`` is the last id of the page before."""
    await owned(store, session, owner)
    found, more = await page_of(store, session, limit, after)
    return await in_json(
        lambda: {"object": "list", "data": [utterance_body(one) for one in found], "has_more": more}
    )


@router.get("/{session}/turns", response_model=None)
async def list_turns(
    session: str,
    store: StoreDep,
    owner: Owner,
    limit: Limit = PAGE,
    after: Annotated[int, Query(ge=-1, le=2**31 - 1)] = -1,
) -> Response:
    """Timings and failures of its turns, in order; ``after`` is the last number of the page before."""
    await owned(store, session, owner)
    found, more = page_and_more(await store.turns(session, limit + 1, after=after), limit)
    return await in_json(lambda: {"object": "list", "data": found, "has_more": more})


@router.get("/{session}/export", response_model=None)
async def export_session(session: str, runtime: RuntimeDep, store: StoreDep, owner: Owner) -> Response:
    """All of it as one ZIP file: transcript, data, how it was spoken, recordings."""
    found = await owned(store, session, owner)
    said = await portable(store, found, analysed=runtime.analysis is not None)
    archive: AsyncIterator[bytes] = export(store, said)
    headers = {"Content-Disposition": f'attachment; filename="{found.id}.zip"'}
    return Streamed(archive, total_s=DOWNLOAD_S, media_type="application/zip", headers=headers)


class _Rename(BaseModel):
    title: WellFormedText = Field(max_length=TITLE_LIMIT)


@router.patch("/{session}")
async def rename_session(session: str, change: _Rename, store: StoreDep, owner: Owner) -> dict[str, Any]:
    """Give it a title; an empty one: the first thing said is its title again."""
    await owned(store, session, owner)
    await store.rename_session(session, " ".join(change.title.split()))
    return _body(await store.session(session))


@router.delete("/{session}", status_code=204, responses=DELETING)
async def delete_session(session: str, store: StoreDep, owner: Owner) -> Response:
    """Delete rows, recordings, and what waits to be done for it; 202: it is gone for all, and goes on."""
    going_on = await store.deletion("session", session)
    if going_on is None or going_on.owner != owner:
        await owned(store, session, owner)
    return deleted(await store.delete_session(session))
