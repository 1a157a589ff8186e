"""JSON views of speech analyses."""

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
    "no_audio": "there is no recording: the message was typed, or no audio arrived",
    "not_speech": "it contains no speech",
    "too_short": "it is too short: scores need one second of speech and four syllables",
    "too_long": "it is longer than ten minutes: too long for a single score",
    "too_noisy": "the background noise is too loud",
    "no_voice": "it is almost unvoiced, like a whisper: the pitch cannot be measured",
    "unreadable": "its recording cannot be read",
}
_WAITING: Final = "it will be analysed when no conversation is running"
_OFF: Final = "analysis is disabled: KUAIMEI_ANALYSIS__ENABLED or KUAIMEI_STORE__KEEP is off"


def reason_body(analysis: Analysis | None, *, enabled: bool) -> str | None:
    """Return a sentence that says why there are no scores; None if there are.

    Args:
        analysis: The analysis; None if there is none (yet).
        enabled: True if analysis is enabled.
    """
    if analysis is None:
        return _WAITING if enabled else _OFF
    return reason_in_words(analysis.reason)


def reason_in_words(reason: str | None) -> str | None:
    """Return the sentence for a reason code; None if ``reason`` is None, that is, if there are scores."""
    return None if reason is None else _WHY.get(reason, "the reason is unknown")


def cohort_of(session: SessionRow, utterance: UtteranceRow) -> Cohort:
    """Return the cohort that the utterance's scores are compared with."""
    return Cohort(
        owner=session.owner,
        session=session.id,
        person=str(session.client.get("person", "")),
        speaker=utterance.speaker,
        voice=utterance.voice,
    )


def cursor_of(utterance: UtteranceRow) -> ScoreCursor:
    """Return the utterance's position in the score history."""
    return ScoreCursor(utterance.started_at, utterance.id)


def relative_scores(analysis: Analysis, earlier: Sequence[ScorePoint]) -> dict[Score, RelativeScore | None]:
    """Compare each score with those of earlier utterances."""
    if analysis.scores is None:
        return dict.fromkeys(SCORES)
    return {
        name: compare_to_baseline(analysis.scores[name]["value"], [point.scores[name] for point in earlier])
        for name in SCORES
    }


def usual_ranges(points: Sequence[ScorePoint]) -> dict[Score, float] | None:
    """Return the median of each score; None if there are too few utterances."""
    if len(points) < LEAST_EARLIER:
        return None
    return {name: median(point.scores[name] for point in points) for name in SCORES}


def analysis_body(
    utterance: str, analysis: Analysis | None, earlier: Sequence[ScorePoint], *, enabled: bool
) -> dict[str, Any]:
    """Return the JSON body of an analysis, without contours.

    Args:
        utterance: Id of the utterance.
        analysis: Its analysis; None if there is none (yet).
        earlier: Scores of earlier utterances, for comparison.
        enabled: True if analysis is enabled.
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
    """Return the short JSON body that is sent to clients as soon as an utterance is scored."""
    return {
        "recording": scored.utterance,
        "speaker": scored.speaker,
        **asdict(scored.summary),
        "why": reason_in_words(scored.summary.reason),
    }


def _relative(relative: RelativeScore | None) -> dict[str, Any] | None:
    return None if relative is None else asdict(relative)
