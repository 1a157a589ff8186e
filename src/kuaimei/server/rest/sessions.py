"""``/api/sessions``: list, read, export, rename and delete recorded sessions."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any, TypeAlias, TypeVar

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from kuaimei.errors import NotFound
from kuaimei.http.client_disconnect import DOWNLOAD_S, Streamed
from kuaimei.server.protocols import ConversationStore
from kuaimei.server.rest.dependencies import DELETING, Owner, RuntimeDep, StoreDep, deleted
from kuaimei.server.rest.export import ExportedSession, export
from kuaimei.server.rest.threaded_response import in_json
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
"""Maximum length of a session title, in characters."""
PAGE = 200
"""Default page size of utterance and turn listings."""

Limit: TypeAlias = Annotated[int, Query(ge=1, le=500)]
After: TypeAlias = Annotated[str | None, Query(max_length=64)]


async def owned(store: ConversationStore, session: str, owner: str) -> SessionRow:
    """Return the session if it belongs to ``owner``.

    Args:
        store: The conversation store.
        session: Id of the session.
        owner: Id of the calling person.

    Raises:
        NotFound: If it does not exist or belongs to another person; the two are indistinguishable, so that
            ids of other people's sessions cannot be probed.
    """
    found = await store.session(session)
    if found.owner != owner:
        raise NotFound(f"there is no session {session}")
    return found


def page_and_more(found: Sequence[T], limit: int) -> tuple[Sequence[T], bool]:
    """Cut ``found`` to a page of ``limit`` items; the flag is True if more items follow.

    Args:
        found: Up to ``limit + 1`` items; the extra one shows that another page follows.
        limit: Page size.
    """
    return found[:limit], len(found) > limit


async def page_of(
    store: ConversationStore, session: str, limit: int, after: str | None
) -> tuple[Sequence[UtteranceRow], bool]:
    """Return one page of a session's utterances, and whether more follow.

    Args:
        store: The conversation store.
        session: Id of the session.
        limit: Page size.
        after: Id of the last utterance of the previous page; None: the first page.

    Raises:
        NotFound: If ``after`` is not, or no longer, in this session; the client has to list from the start.
    """
    if after is None:
        return page_and_more(await store.utterances(session, limit + 1), limit)
    last = await store.utterance(after)
    if last.session_id != session:
        raise NotFound(f"there is no utterance {after} in this session; list it from the beginning")
    return page_and_more(await store.utterances(session, limit + 1, after=last), limit)


async def owned_utterance(
    store: ConversationStore, utterance: str, owner: str
) -> tuple[UtteranceRow, SessionRow]:
    """Return the utterance and its session if they belong to ``owner``.

    Args:
        store: The conversation store.
        utterance: Id of the utterance.
        owner: Id of the calling person.

    Raises:
        NotFound: If it does not exist or belongs to another person; see `owned`.
    """
    found = await store.utterance(utterance)
    session = await store.session(found.session_id)
    if session.owner != owner:
        raise NotFound(f"there is no utterance {utterance}")
    return found, session


async def portable(store: ConversationStore, session: SessionRow, *, analysed: bool) -> ExportedSession:
    """Load a session in the form that `kuaimei.server.rest.export` writes.

    Args:
        store: The conversation store.
        session: The session to load.
        analysed: True if analysis is enabled.
    """
    utterances, turns = await store.utterances(session.id), await store.turns(session.id)

    def described() -> dict[str, Any]:
        return {
            "session": _body(session),
            "utterances": [utterance_body(utterance) for utterance in utterances],
            "turns": [asdict(turn) for turn in turns],
        }

    return ExportedSession(session, utterances, described, analysed)


def _body(session: SessionRow) -> dict[str, Any]:
    return {"object": "kuaimei.session", **asdict(session)}


def utterance_body(utterance: UtteranceRow) -> dict[str, Any]:
    """Return the JSON body of an utterance."""
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
    """List sessions, newest first; page with ``before``, filter titles and transcripts with ``search``.

    ``before`` is the last id of the previous page.
    """
    sessions = await store.sessions(limit + 1, before=before, search=search, owner=owner)
    found, more = page_and_more(sessions, limit)
    return await in_json(
        lambda: {"object": "list", "data": [_body(session) for session in found], "has_more": more}
    )


@router.get("/{session}")
async def get_session(session: str, store: StoreDep, owner: Owner) -> dict[str, Any]:
    """Return one session."""
    return _body(await owned(store, session, owner))


@router.get("/{session}/utterances", response_model=None)
async def list_utterances(
    session: str, store: StoreDep, owner: Owner, limit: Limit = PAGE, after: After = None
) -> Response:
    """List the utterances of both sides in order; ``after`` is the last id of the previous page."""
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
    """List the turns with timings and failures; ``after`` is the last number of the previous page."""
    await owned(store, session, owner)
    found, more = page_and_more(await store.turns(session, limit + 1, after=after), limit)
    return await in_json(lambda: {"object": "list", "data": found, "has_more": more})


@router.get("/{session}/export", response_model=None)
async def export_session(session: str, runtime: RuntimeDep, store: StoreDep, owner: Owner) -> Response:
    """Download the session as a ZIP file: transcript, data, speech analysis and recordings."""
    found = await owned(store, session, owner)
    said = await portable(store, found, analysed=runtime.analysis is not None)
    archive: AsyncIterator[bytes] = export(store, said)
    headers = {"Content-Disposition": f'attachment; filename="{found.id}.zip"'}
    return Streamed(archive, total_s=DOWNLOAD_S, media_type="application/zip", headers=headers)


class _Rename(BaseModel):
    title: WellFormedText = Field(max_length=TITLE_LIMIT)


@router.patch("/{session}")
async def rename_session(session: str, change: _Rename, store: StoreDep, owner: Owner) -> dict[str, Any]:
    """Set the session's title; an empty one restores the default, the first thing the user said."""
    await owned(store, session, owner)
    await store.rename_session(session, " ".join(change.title.split()))
    return _body(await store.session(session))


@router.delete("/{session}", status_code=204, responses=DELETING)
async def delete_session(session: str, store: StoreDep, owner: Owner) -> Response:
    """Permanently delete the session, its recordings and pending jobs; 202 if that takes longer.

    After 202 the session can no longer be accessed, and deletion continues in the background.
    """
    going_on = await store.deletion("session", session)
    if going_on is None or going_on.owner != owner:
        await owned(store, session, owner)
    return deleted(await store.delete_session(session))
