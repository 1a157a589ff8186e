"""``/api/listening``: blind A/B listening tests and their results."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from kuaimei.http.client_disconnect import attended
from kuaimei.http.errors import ApiError
from kuaimei.server.allowed_voices import UsableVoices
from kuaimei.server.listening_test import ListeningTest, Side
from kuaimei.server.rest.csv_tables import sheet_response
from kuaimei.server.rest.dependencies import Owner, RuntimeDep, StoreDep
from kuaimei.store.listening_tests import Choice, Kind, Tally, Trial
from kuaimei.store.statistics import wilson
from kuaimei.text.wellformed import WellFormedText

__all__ = ["router"]

router = APIRouter(prefix="/api/listening")

REMARK_LIMIT = 500
"""Maximum length of a remark, in characters."""
_COLUMNS = ("id", "kind", "first", "second", "a", "b", "choice", "preferred", "remark", "at")


def _listening(request: Request, runtime: RuntimeDep, store: StoreDep, owner: Owner) -> ListeningTest:
    return ListeningTest(store, UsableVoices(runtime, owner), request.app.state.voice_previews)


ListeningTestDep = Annotated[ListeningTest, Depends(_listening)]


class PreferenceRequest(BaseModel):
    """A listener's choice between the two clips, with an optional remark."""

    model_config = ConfigDict(extra="forbid")

    choice: Choice
    remark: WellFormedText = Field("", max_length=REMARK_LIMIT)


@router.post("/next")
async def next_trial(
    blind: ListeningTestDep,
    owner: Owner,
    kind: Kind | None = None,
    voice: Annotated[str | None, Query(max_length=100)] = None,
) -> dict[str, Any]:
    """Start a blind trial: two clips of the same text, in random order and without their origin."""
    trial = await blind.next(owner, kind, voice)
    return {
        "object": "kuaimei.listening.trial",
        "id": trial.id,
        "kind": trial.kind,
        "text": await blind.text(trial),
        "a": f"/api/listening/{trial.id}/a",
        "b": f"/api/listening/{trial.id}/b",
    }


@router.get("/results")
async def results(store: StoreDep, owner: Owner) -> dict[str, Any]:
    """Return how often each system was preferred, by pair, with a confidence interval (Wilson score)."""
    tallies = await store.preferences.tallies(owner)
    return {
        "object": "kuaimei.listening.results",
        "judged": sum(tally.judged for tally in tallies),
        "pairs": [_pair(tally) for tally in tallies],
    }


@router.delete("/results", status_code=204)
async def forget_results(store: StoreDep, owner: Owner) -> Response:
    """Delete all trials and judgements of the caller."""
    await store.preferences.forget(owner)
    return Response(status_code=204)


@router.get("/results.csv")
async def results_csv(store: StoreDep, owner: Owner) -> Response:
    """Download every judgement as CSV, one per line."""
    judged = await store.preferences.judged(owner)
    return await asyncio.to_thread(sheet_response, "listening.csv", _COLUMNS, map(_line, judged))


@router.get("/{trial}/{side}")
async def get_clip(
    request: Request, trial: str, side: Side, blind: ListeningTestDep, store: StoreDep, owner: Owner
) -> Response:
    """Return clip ``a`` or ``b`` of a trial as FLAC."""
    found = await store.preferences.trial(trial, owner)
    headers = {"Cache-Control": "private, no-store"}
    data = await attended(request, blind.clip(found, side))
    return Response(data, media_type="audio/flac", headers=headers)


@router.post("/{trial}")
async def judge(trial: str, judgement: PreferenceRequest, store: StoreDep, owner: Owner) -> dict[str, Any]:
    """Record the listener's choice and reveal which system produced each clip; 409 if already judged."""
    judged = await store.preferences.judge(trial, owner, judgement.choice, judgement.remark)
    if judged is None:
        raise ApiError("this comparison has already been judged", status=409, code="already_judged")
    return {
        "object": "kuaimei.listening.judgement",
        "id": judged.id,
        "kind": judged.kind,
        "choice": judged.choice,
        "preferred": judged.preferred,
        "a": judged.a,
        "b": judged.b,
        "remark": judged.remark,
    }


def _pair(tally: Tally) -> dict[str, Any]:
    decided = tally.first_preferred + tally.second_preferred
    interval = wilson(tally.first_preferred, decided)
    low, high = interval or (None, None)
    return {
        "kind": tally.kind,
        "first": tally.first,
        "second": tally.second,
        "first_preferred": tally.first_preferred,
        "second_preferred": tally.second_preferred,
        "same": tally.same,
        "share": tally.first_preferred / decided if decided else None,
        "low": low,
        "high": high,
    }


def _line(trial: Trial) -> tuple[str | None, ...]:
    return (
        trial.id,
        trial.kind,
        trial.first,
        trial.second,
        trial.a,
        trial.b,
        trial.choice,
        trial.preferred,
        trial.remark,
        trial.judged_at.isoformat() if trial.judged_at else None,
    )
