"""Scoring: turns features into scores, each with the contributions it consists of."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from kuaimei.analysis.head import Head
from kuaimei.analysis.types import SCORES, Contribution, Explained, ProsodyScore, Reason, Score
from kuaimei.engines.prosody.types import Features

__all__ = [
    "LEAST_SNR_DB",
    "LEAST_SPEECH_S",
    "LEAST_SYLLABLES",
    "MAX_ABS_Z",
    "contributing",
    "raw_scores",
    "rejection_reason",
    "score",
    "standardise",
]

MAX_ABS_Z: Final = 3.0
"""Limit of z: beyond three standard deviations a measurement says that something is odd, not how odd."""
LEAST_SPEECH_S: Final = 1.0
"""Minimum seconds of speech: in less, ratios and spreads are accidental."""
LEAST_SYLLABLES: Final = 4.0
"""Minimum number of syllables for rate and intonation."""
LEAST_SNR_DB: Final = 11.0
"""Minimum SNR: below it scores differ from those of the same speech without noise.

It is ``floor_snr_db`` in reliability.json."""
_LEAST_VOICED: Final = 0.1
"""Minimum voiced fraction: a whisper has less, and its pitch cannot be measured."""


def rejection_reason(features: Features) -> Reason | None:
    """Return the reason why an utterance cannot be scored; None if it can."""
    if not features.speech_s > 0.0:
        return "not_speech"
    rate = features.rate_syl_s
    few = rate is not None and rate * features.speech_s < LEAST_SYLLABLES
    if features.speech_s < LEAST_SPEECH_S or few:
        return "too_short"
    if features.snr_db is not None and features.snr_db < LEAST_SNR_DB:
        return "too_noisy"
    silent = features.voiced_fraction is not None and features.voiced_fraction < _LEAST_VOICED
    if features.f0_mean_hz is None or silent:
        return "no_voice"
    return None


def score(features: Features, head: Head) -> Explained | Reason:
    """Return the scores of an utterance, or the reason why it has none."""
    reason = rejection_reason(features)
    return raw_scores(features, head) if reason is None else reason


def raw_scores(features: Features, head: Head) -> Explained:
    """Return the scores without checking whether the utterance can be scored.

    A score is the logistic function of its bias plus the amounts its features add (`Head`). A feature that
    could not be measured adds nothing, as if it were average.
    """
    measured = {
        name: float(value)
        for name, value in asdict(features).items()
        if value is not None and math.isfinite(value)
    }
    contributions: dict[Score, tuple[Contribution, ...]] = {}
    values: dict[Score, float] = {}
    for name in SCORES:
        parts = contributing(measured, name, head)
        contributions[name] = tuple(sorted(parts, key=lambda part: -abs(part.amount)))
        values[name] = _logistic(math.fsum([head.bias[name], *(part.amount for part in parts)]))
    return Explained(
        score=ProsodyScore(
            confidence=values["confidence"],
            stability=values["stability"],
            affability=values["affability"],
            features=measured,
        ),
        contributions=contributions,
        bias=dict(head.bias),
        head=head.version,
    )


def contributing(measured: Mapping[str, float], score: Score, head: Head) -> list[Contribution]:
    """Return what each feature adds to the logit of ``score``, in the order of the head.

    Args:
        measured: Measured features, by name.
        score: The score.
        head: The head in use.
    """
    return [
        _contribution(feature, measured[feature], head, weight)
        for feature, weight in head.weights[score].items()
        if weight and feature in measured
    ]


def standardise(feature: str, value: float, head: Head) -> float:
    """Return the standard deviations from the mean of the norm, clipped to ±3.

    Args:
        feature: Name of the feature.
        value: Measured value, in the unit of the feature.
        head: Provides the norm.
    """
    norm = head.norms[feature]
    return min(max((value - norm.mean) / norm.sd, -MAX_ABS_Z), MAX_ABS_Z)


def _contribution(feature: str, value: float, head: Head, weight: float) -> Contribution:
    z = standardise(feature, value, head)
    return Contribution(feature=feature, value=value, z=z, amount=weight * z)


def _logistic(logit: float) -> float:
    # Written so that neither end overflows.
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    grown = math.exp(logit)
    return grown / (1.0 + grown)
