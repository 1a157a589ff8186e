"""``/api/labelling``: listeners' ratings of utterances, to which ``kuaimei calibrate`` fits the scores."""

import asyncio
from typing import Annotated, Any, Self, TypeAlias

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from kuaimei.errors import NotFound
from kuaimei.server.rest.csv_tables import sheet_response
from kuaimei.server.rest.dependencies import Owner, StoreDep
from kuaimei.server.rest.sessions import owned_utterance
from kuaimei.server.views.renderings import rendering_url
from kuaimei.store.ratings import RatingScores
from kuaimei.text.wellformed import WellFormedText

__all__ = ["router"]

router = APIRouter(prefix="/api/labelling")

RATER_LIMIT = 64
"""Maximum length of a rater's name, in characters."""
SKIP_LIMIT = 500
_COLUMNS = ("utterance", "confidence", "stability", "affability", "rater")


def _plain(text: str) -> str:
    return " ".join(text.split())


Rater: TypeAlias = Annotated[str, Query(max_length=RATER_LIMIT), AfterValidator(_plain)]
Mark: TypeAlias = Annotated[int | None, Field(ge=1, le=5)]


class RatingRequest(BaseModel):
    """A listener's rating: 1 to 5 for each score; scores they cannot judge are omitted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    confidence: Mark = None
    stability: Mark = None
    affability: Mark = None
    rater: Annotated[WellFormedText, Field(max_length=RATER_LIMIT), AfterValidator(_plain)] = ""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.confidence is None and self.stability is None and self.affability is None:
            raise ValueError("rate at least one of confidence, stability and affability")
        return self


@router.get("/next")
async def next_clip(
    store: StoreDep,
    owner: Owner,
    rater: Rater = "",
    skip: Annotated[tuple[str, ...], Query(max_length=SKIP_LIMIT)] = (),
) -> dict[str, Any]:
    """Return a user utterance that this rater has not rated; 404 if none is left.

    The order is random, but fixed for each rater.

    Raises:
        NotFound: If no utterance is left to rate.
    """
    utterance = await store.ratings.next(owner, rater, skipped=skip)
    if utterance is None:
        raise NotFound("there are no unrated utterances left: talk more, or rate those that you skipped")
    found = await store.utterance(utterance)
    return {
        "object": "kuaimei.labelling.clip",
        "id": found.id,
        "transcript": found.transcript,
        "duration_ms": found.duration_ms,
        "audio": rendering_url(found.id),
    }


@router.get("/progress")
async def get_progress(store: StoreDep, owner: Owner, rater: Rater = "") -> dict[str, Any]:
    """Return the rater's progress and the total number of ratings."""
    tally = await store.ratings.tally(owner, rater)
    return {
        "object": "kuaimei.labelling.progress",
        "rated": tally.rated,
        "total": tally.total,
        "ratings": tally.ratings,
    }


@router.get("/labels.csv")
async def get_labels(store: StoreDep, owner: Owner) -> Response:
    """Download every rating as CSV, in the format that ``kuaimei calibrate`` reads."""
    found = await store.ratings.all(owner)

    def table() -> Response:
        rows = (
            (one.utterance, one.marks.confidence, one.marks.stability, one.marks.affability, one.rater)
            for one in found
        )
        return sheet_response("labels.csv", _COLUMNS, rows)

    return await asyncio.to_thread(table)


@router.post("/{utterance}")
async def rate(utterance: str, opinion: RatingRequest, store: StoreDep, owner: Owner) -> dict[str, Any]:
    """Record a rating of the utterance; it replaces an earlier one by the same rater."""
    await owned_utterance(store, utterance, owner)
    marks = RatingScores(opinion.confidence, opinion.stability, opinion.affability)
    await store.ratings.rate(utterance, owner, opinion.rater, marks)
    return {"object": "kuaimei.labelling.rating", "utterance": utterance, **opinion.model_dump()}
