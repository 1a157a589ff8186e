"""How something was spoken, as clients see it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any, Final

from kuaimei.analysis.baseline import LEAST_EARLIER, compare_to_baseline
from kuaimei.analysis.job import Scored
from kuaimei.analysis.types import SCORES, RelativeScore, Score
from kuaimei.store.analyses import Analysis
from kuaimei.store.rows import SessionRow, UtteranceRow
from kuaimei.store.score_history import Cohort, ScoreCursor, ScorePoint

__all__ = [
    "analysis_body",
    "cohort_of",
    "cursor_of",
    "reason_body",
    "reason_in_words",
    "relative_scores",
    "scored_body",
    "usual_ranges",
]

_WHY: Final[Mapping[str, str]] = {
    "no_audio": "there is no recording of it: it was typed, or nothing of it arrived",
    "not_speech": "there is no speech in it",
    "too_short": "it is too short: scores need a second of speech and four syllables",
    "too_long": "it is longer than ten minutes, in which nobody speaks in one manner",
    "too_noisy": "the noise is too loud beside the speech",
    "no_voice": "there is hardly any voice in it, as in a whisper: its pitch cannot be told",
    "unreadable": "its recording cannot be read",
}
_WAITING: Final = "it is analysed as soon as nobody is talking"
_OFF: Final = "nothing is analysed here: KUAIMEI_ANALYSIS__ENABLED is off, or nothing is kept"


def reason_body(analysis: Analysis | None, *, enabled: bool) -> str | None:
    """One sentence on why there are no scores; None: there are.

    Args:
        analysis: None: there is none (yet).
        enabled: Somebody analyses.
    """
    if analysis is None:
        return _WAITING if enabled else _OFF
    return reason_in_words(analysis.reason)


def reason_in_words(reason: str | None) -> str | None:
    """One sentence on why there are no scores; None: there are."""
    return None if reason is None else _WHY.get(reason, "it cannot be told")


def cohort_of(session: SessionRow, utterance: UtteranceRow) -> Cohort:
    """Those with which the utterance is compared."""
    return Cohort(
        owner=session.owner,
        session=session.id,
        person=str(session.client.get("person", "")),
        speaker=utterance.speaker,
        voice=utterance.voice,
    )


def cursor_of(utterance: UtteranceRow) -> ScoreCursor:
    """When it was said."""
    return ScoreCursor(utterance.started_at, utterance.id)


def relative_scores(analysis: Analysis, earlier: Sequence[ScorePoint]) -> dict[Score, RelativeScore | None]:
    """Each score beside those that were said before."""
    if analysis.scores is None:
        return dict.fromkeys(SCORES)
    return {
        name: compare_to_baseline(analysis.scores[name]["value"], [point.scores[name] for point in earlier])
        for name in SCORES
    }


def usual_ranges(points: Sequence[ScorePoint]) -> dict[Score, float] | None:
    """The median of each score; None: too few to know."""
    if len(points) < LEAST_EARLIER:
        return None
    return {name: median(point.scores[name] for point in points) for name in SCORES}


def analysis_body(
    utterance: str, analysis: Analysis | None, earlier: Sequence[ScorePoint], *, enabled: bool
) -> dict[str, Any]:
    """Everything but what is drawn.

    Args:
        utterance: Its id.
        analysis: None: there is none (yet).
        earlier: What it is compared with.
        enabled: Somebody analyses.
    """
    told = reason_body(analysis, enabled=enabled)
    if analysis is None:
        return {
            "utterance": utterance,
            "state": "waiting" if enabled else "unscored",
            "reason": None if enabled else "off",
            "why": told,
            "extractor": None,
            "head": None,
            "scores": None,
            "features": {},
            "analysed_at": None,
        }
    compared = relative_scores(analysis, earlier)
    scores = analysis.scores
    return {
        "utterance": utterance,
        "state": analysis.state,
        "reason": analysis.reason,
        "why": told,
        "extractor": analysis.extractor,
        "head": analysis.head,
        "scores": None
        if scores is None
        else {name: {**scores[name], "relative": _relative(compared[name])} for name in SCORES},
        "features": analysis.features,
        "analysed_at": analysis.analysed_at,
    }


def scored_body(scored: Scored) -> dict[str, Any]:
    """What is told of it at once."""
    return {
        "recording": scored.utterance,
        "speaker": scored.speaker,
        **asdict(scored.summary),
        "why": reason_in_words(scored.summary.reason),
    }


def _relative(relative: RelativeScore | None) -> dict[str, Any] | None:
    return None if relative is None else asdict(relative)
