"""How something was spoken, as clients see it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any, Final

from kuaimei.analysis.baseline import LEAST_EARLIER, compare
from kuaimei.analysis.job import Scored
from kuaimei.analysis.types import SCORES, Relative, Score
from kuaimei.store.analyses import Analysis
from kuaimei.store.rows import Session, Utterance
from kuaimei.store.score_history import Group, Moment, Point

__all__ = [
    "group_of",
    "moment_of",
    "reason_in_words",
    "relatives",
    "scored_body",
    "spoken_body",
    "usual",
    "why",
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


def why(analysis: Analysis | None, *, enabled: bool) -> str | None:
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


def group_of(session: Session, utterance: Utterance) -> Group:
    """Those with which the utterance is compared."""
    return Group(
        owner=session.owner,
        session=session.id,
        person=str(session.client.get("person", "")),
        speaker=utterance.speaker,
        voice=utterance.voice,
    )


def moment_of(utterance: Utterance) -> Moment:
    """When it was said."""
    return Moment(utterance.started_at, utterance.id)


def relatives(analysis: Analysis, earlier: Sequence[Point]) -> dict[Score, Relative | None]:
    """Each score beside those that were said before."""
    if analysis.scores is None:
        return dict.fromkeys(SCORES)
    return {
        name: compare(analysis.scores[name]["value"], [point.scores[name] for point in earlier])
        for name in SCORES
    }


def usual(points: Sequence[Point]) -> dict[Score, float] | None:
    """The median of each score; None: too few to know."""
    if len(points) < LEAST_EARLIER:
        return None
    return {name: median(point.scores[name] for point in points) for name in SCORES}


def spoken_body(
    utterance: str, analysis: Analysis | None, earlier: Sequence[Point], *, enabled: bool
) -> dict[str, Any]:
    """Everything but what is drawn.

    Args:
        utterance: Its id.
        analysis: None: there is none (yet).
        earlier: What it is compared with.
        enabled: Somebody analyses.
    """
    told = why(analysis, enabled=enabled)
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
    compared = relatives(analysis, earlier)
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


def _relative(relative: Relative | None) -> dict[str, Any] | None:
    return None if relative is None else asdict(relative)
