"""``…/analysis``: speech analysis of an utterance or a session, and re-analysis of everything."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from kuaimei.analysis.service import AnalysisService
from kuaimei.errors import NotFound
from kuaimei.http.errors import ApiError
from kuaimei.server.protocols import AppRuntime
from kuaimei.server.rest.csv_tables import sheet_response
from kuaimei.server.rest.dependencies import Owner, RuntimeDep, StoreDep
from kuaimei.server.rest.session_analysis import COLUMNS, lines, session_analysis
from kuaimei.server.rest.sessions import PAGE, After, Limit, owned, owned_utterance, page_of
from kuaimei.server.rest.threaded_response import in_json
from kuaimei.server.views.analysis import analysis_body, cohort_of, cursor_of, usual_ranges
from kuaimei.store.score_history import Cohort, ScorePoint

__all__ = ["router"]

router = APIRouter(prefix="/api")


@router.get("/recordings/{utterance}/analysis", response_model=None)
async def get_analysis(utterance: str, runtime: RuntimeDep, store: StoreDep, owner: Owner) -> Response:
    """Return the analysis of one utterance: scores with their contributions, features and contours."""
    found, session = await owned_utterance(store, utterance, owner)
    try:
        analysis = await store.analyses.get(utterance)
    except NotFound:
        analysis = None
    earlier: Sequence[ScorePoint] = ()
    if analysis is not None and analysis.scores is not None:
        earlier = await store.peers.newest(cohort_of(session, found), before=cursor_of(found))
    return await in_json(
        lambda: {
            "object": "kuaimei.analysis",
            **analysis_body(utterance, analysis, earlier, enabled=runtime.analysis is not None),
            "contours": None if analysis is None else analysis.contours,
        }
    )


@router.get("/sessions/{session}/analysis", response_model=None)
async def get_session_analysis(
    session: str,
    runtime: RuntimeDep,
    store: StoreDep,
    owner: Owner,
    as_: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
    limit: Limit = PAGE,
    after: After = None,
) -> Response:
    """Return the analyses of a session's utterances in order, and the user's usual (median) scores.

    Paged: pass the last id of a page as ``after``. ``format=csv`` always returns the whole session.
    """
    found = await owned(store, session, owner)
    enabled = runtime.analysis is not None
    if as_ == "csv":
        rows: list[list[object]] = []
        said = await store.utterances(session)
        for start in range(0, len(said), PAGE):
            page = await session_analysis(store, found, said[start : start + PAGE], enabled=enabled)
            rows += await asyncio.to_thread(lambda page=page: list(lines(page)))  # type: ignore[misc]
        return await asyncio.to_thread(sheet_response, f"{session}.csv", COLUMNS, rows)
    utterances, more = await page_of(store, session, limit, after)
    spoken = await session_analysis(store, found, utterances, enabled=enabled)
    person = Cohort(owner, session, str(found.client.get("person", "")), "user", "")
    points = await store.peers.newest(person)
    return await in_json(
        lambda: {
            "object": "list",
            "data": spoken,
            "has_more": more,
            "usual": usual_ranges(points),
            "usual_utterances": len(points),
        }
    )


@router.post("/analysis/again", status_code=202)
async def analyse_again(runtime: RuntimeDep, owner: Owner) -> dict[str, Any]:
    """Queue a new analysis of all utterances; existing results stay visible until replaced."""
    count = await _room(runtime).reanalyse(owner)
    return {"object": "kuaimei.analysis.again", "utterances": count}


@router.get("/analysis/progress")
async def get_progress(runtime: RuntimeDep, owner: Owner) -> JSONResponse:
    """Return how many utterances are analysed and how many are still waiting."""
    progress = await _room(runtime).progress(owner)
    body = {
        "object": "kuaimei.analysis.progress",
        "utterances": progress.utterances,
        "waiting": progress.waiting,
        "analysed": progress.utterances - progress.waiting,
        "extractor": _room(runtime).analyst.instruments.extractor,
    }
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


def _room(runtime: AppRuntime) -> AnalysisService:
    if runtime.analysis is None:
        told = "analysis is disabled: KUAIMEI_ANALYSIS__ENABLED or KUAIMEI_STORE__KEEP is off"
        raise ApiError(told, status=409, code="not_analysed")
    return runtime.analysis
