"""Result of an analysis, in the form in which it is stored."""

from dataclasses import asdict
from typing import Any

from kuaimei.analysis.head import Head
from kuaimei.analysis.scoring import score
from kuaimei.analysis.types import SCORES, Explained, Reason
from kuaimei.engines.prosody.types import FRAME_MS, Contours, Features
from kuaimei.store.analyses import AnalysisResult
from kuaimei.store.rows import Summary

__all__ = ["make_result", "not_analysable", "summary"]


def make_result(
    features: Features, contours: Contours | None, head: Head, took_s: float = 0.0
) -> AnalysisResult:
    """Score ``features``; the result has scores, or the reason why there are none.

    Args:
        features: Measured features.
        contours: Measured contours; None: they are stored already.
        head: The head in use.
        took_s: CPU seconds of one core that the measurement took.
    """
    verdict = score(features, head)
    explained = verdict if isinstance(verdict, Explained) else None
    return AnalysisResult(
        reason=None if isinstance(verdict, Explained) else verdict,
        features={name: value for name, value in asdict(features).items() if value is not None},
        scores=None if explained is None else _scores(explained),
        contours=None if contours is None else _contours(contours),
        took_ms=round(took_s * 1000.0, 1),
    )


def not_analysable(reason: Reason) -> AnalysisResult:
    """Return the result of an utterance that was not measured because of ``reason``."""
    return AnalysisResult(reason=reason, features={}, scores=None, contours=None, took_ms=0.0)


def summary(findings: AnalysisResult) -> Summary:
    """Summarize a result as its outcome and the three scores."""
    values = {name: None if findings.scores is None else findings.scores[name]["value"] for name in SCORES}
    if findings.reason is None:
        return Summary(state="scored", reason=None, **values)
    return Summary(state="unscored", reason=findings.reason, **values)


def _scores(explained: Explained) -> dict[str, Any]:
    return {
        name: {
            "value": getattr(explained.score, name),
            "bias": explained.bias[name],
            "contributions": [asdict(part) for part in explained.contributions[name]],
        }
        for name in SCORES
    }


def _contours(contours: Contours) -> dict[str, Any]:
    return {
        "frame_ms": FRAME_MS,
        "f0_hz": [round(float(hz), 1) for hz in contours.f0_hz],
        "pauses": [[round(one.start_s * 1000.0), round(one.end_s * 1000.0)] for one in contours.pauses],
    }
