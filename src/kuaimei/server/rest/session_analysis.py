"""Speech analysis of a session's utterances, one page at a time."""

import asyncio
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from kuaimei.analysis.head import FEATURES
from kuaimei.analysis.types import SCORES
from kuaimei.server.protocols import ConversationStore
from kuaimei.server.views.analysis import analysis_body, cohort_of, cursor_of
from kuaimei.store.analyses import Analysis
from kuaimei.store.rows import SessionRow, UtteranceRow
from kuaimei.store.score_history import NEWEST, Cohort, ScoreCursor, ScorePoint

__all__ = ["COLUMNS", "lines", "session_analysis"]

COLUMNS: Final = (
    *("utterance", "turn", "speaker", "started_at", "duration_ms", "state", "reason"),
    *SCORES,
    *(f"{name}_difference" for name in SCORES),
    *FEATURES,
    *("extractor", "head", "transcript"),
)


async def session_analysis(
    store: ConversationStore,
    session: SessionRow,
    utterances: Sequence[UtteranceRow],
    *,
    enabled: bool,
    contours: bool = False,
) -> list[dict[str, Any]]:
    """Return the analysis of each of ``utterances``; the bodies are built in a thread.

    Args:
        store: The conversation store.
        session: The session that the utterances belong to.
        utterances: In order; at most a page, because everything is held in memory.
        enabled: True if analysis is enabled.
        contours: Also include the contours for the charts.
    """
    found = await store.analyses.of([one.id for one in utterances], contours=contours)
    past: dict[Cohort, Sequence[ScorePoint]] = {}
    for group in {cohort_of(session, one) for one in utterances}:
        # Enough that even the first utterance of the page has NEWEST earlier scores.
        past[group] = await store.peers.newest(
            group, before=_latest(session, utterances, group), limit=NEWEST + len(utterances)
        )
    analyses = {one.utterance: one for one in found}
    return await asyncio.to_thread(
        _spoken, session, utterances, analyses, past, enabled=enabled, contours=contours
    )


def _spoken(
    session: SessionRow,
    utterances: Sequence[UtteranceRow],
    analyses: Mapping[str, Analysis],
    past: Mapping[Cohort, Sequence[ScorePoint]],
    *,
    enabled: bool,
    contours: bool,
) -> list[dict[str, Any]]:
    points = {group: sorted(found, key=_place) for group, found in past.items()}
    places = {group: [_place(point) for point in found] for group, found in points.items()}
    spoken = []
    for one in utterances:
        group, moment = cohort_of(session, one), cursor_of(one)
        end = bisect_left(places[group], (moment.at, moment.utterance))
        analysis = analyses.get(one.id)
        body = analysis_body(one.id, analysis, points[group][max(0, end - NEWEST) : end], enabled=enabled)
        spoken.append(
            {
                **body,
                "turn": one.turn,
                "speaker": one.speaker,
                "is_turn": one.is_turn,
                "started_at": one.started_at,
                "duration_ms": one.duration_ms,
                "transcript": one.transcript,
                **({"contours": analysis and analysis.contours} if contours else {}),
            }
        )
    return spoken


def _place(point: ScorePoint) -> tuple[datetime, str]:
    return point.moment.at, point.moment.utterance


def _latest(session: SessionRow, utterances: Sequence[UtteranceRow], group: Cohort) -> ScoreCursor:
    """Return the cursor of the latest utterance of ``group``."""
    return max(
        (cursor_of(one) for one in utterances if cohort_of(session, one) == group),
        key=lambda moment: (moment.at, moment.utterance),
    )


def lines(spoken: Sequence[dict[str, Any]]) -> Iterator[list[object]]:
    """Yield a row with `COLUMNS` for each entry of `session_analysis`."""
    for one in spoken:
        scores, features = one["scores"], one["features"]
        relative = {name: scores and scores[name]["relative"] for name in SCORES}
        yield [
            one["utterance"],
            one["turn"],
            one["speaker"],
            one["started_at"].isoformat(),
            one["duration_ms"],
            one["state"],
            one["reason"],
            *(scores and scores[name]["value"] for name in SCORES),
            *(relative[name] and relative[name]["difference"] for name in SCORES),
            *(features.get(name) for name in FEATURES),
            one["extractor"],
            one["head"],
            one["transcript"],
        ]
