"""Reliability of the features: agreement between measurements of the same speech in other conditions."""

import json
import warnings
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from kuaimei.errors import SettingsError

__all__ = [
    "CONDITIONS",
    "GATES",
    "SCORE_GATE",
    "Condition",
    "FeatureFigures",
    "Figures",
    "concordance",
    "icc",
    "load_pingouin",
    "quantiles",
    "shipped_figures",
]

Condition: TypeAlias = Literal["gain", "rate", "noise", "mp3", "again"]
"""Conditions: gain of −12, 0, +12 dB; 8, 16, 48 kHz; pink noise at 20 dB; 64 kbit/s MP3; recorded again."""

CONDITIONS: Final[tuple[Condition, ...]] = get_args(Condition)

GATES: Final[Mapping[Condition, float]] = {"gain": 0.9, "rate": 0.9, "noise": 0.75}
"""Minimum ICC(2,1) of a feature that may count: excellent and good after Koo and Li, "A guideline of
selecting and reporting intraclass correlation coefficients", J. Chiropractic Medicine 15, 2016."""

SCORE_GATE: Final = 0.5
"""Minimum ICC of a score; below it reliability is poor (Koo and Li), and such noise yields no score."""

_LEAST_TARGETS: Final = 5
_QUANTILES: Final = (5, 25, 50, 75, 95)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FeatureFigures(_Model):
    """Reliability of one feature.

    Attributes:
        icc: ICC in each condition; None: unknown (too few clips, or no spread between them).
        quantiles: 5th, 25th, 50th, 75th and 95th percentile over the unmodified clips.
        clips: Number of clips in which it was measured.
    """

    icc: Mapping[Condition, float | None]
    quantiles: tuple[float, ...]
    clips: int

    @property
    def reliable(self) -> bool:
        """True if the feature may carry a weight."""
        return all((self.icc.get(name) or 0.0) >= least for name, least in GATES.items())


class Figures(_Model):
    """Result of a reliability evaluation.

    Attributes:
        made: Date of the evaluation.
        extractor: Version of the feature extraction.
        speech: Description of the speech.
        clips: Number of clips.
        features: Figures of each feature.
        scores: ICC of each score between the unmodified and the noisy clips, by SNR in dB.
        heard_snr_db: Median of the measured SNR in that noise, by SNR in dB.
        floor_snr_db: Measured SNR of the worst noise in which no score is unreliable (`SCORE_GATE`);
            None: one is unreliable even at 20 dB.
    """

    made: date
    extractor: str
    speech: str
    clips: int
    features: Mapping[str, FeatureFigures]
    scores: Mapping[str, Mapping[int, float | None]]
    heard_snr_db: Mapping[int, float]
    floor_snr_db: float | None

    def reliable(self) -> frozenset[str]:
        """Return the features that may carry a weight."""
        return frozenset(name for name, one in self.features.items() if one.reliable)


@cache
def shipped_figures() -> Figures:
    """Return the figures from which the shipped head was made."""
    text = (files("kuaimei.analysis") / "reliability.json").read_text(encoding="utf-8")
    try:
        return Figures.model_validate(json.loads(text))
    except (ValueError, ValidationError) as error:
        raise SettingsError(f"analysis/reliability.json is damaged: {error}; reinstall kuaimei") from error


def load_pingouin() -> Any:
    """Import pingouin, which computes the ICC.

    Raises:
        SettingsError: If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from its dependencies, at import
            import pingouin
    except ImportError:
        raise SettingsError(
            "reliability is computed by pingouin (GPL-3), which is not installed; "
            "run: pip install 'kuaimei[reliability]'"
        ) from None
    return pingouin


def icc(ratings: NDArray[np.float64]) -> float | None:
    """Return ICC(2,1): two-way random effects, absolute agreement, single measurement.

    Shrout and Fleiss, "Intraclass correlations: uses in assessing rater reliability", Psychological
    Bulletin 86, 1979. Absolute agreement: a feature that noise shifts equally in all clips is not reliable,
    since its norm does not shift with it.

    Args:
        ratings: A row for each clip, a column for each condition; rows with NaN are ignored.

    Returns:
        At most 1; None for fewer than five clips, or if no value differs.
    """
    whole = ratings[np.isfinite(ratings).all(axis=1)]
    if len(whole) < _LEAST_TARGETS or whole.shape[1] < 2 or float(np.ptp(whole)) == 0.0:
        return None
    if not np.ptp(whole, axis=1).any():
        return 1.0  # equal in all conditions: the mean square error in the denominator would be 0
    pingouin = load_pingouin()
    import pandas  # type: ignore[import-untyped]

    clips, conditions = np.indices(whole.shape)
    table = pandas.DataFrame(
        {"clip": clips.ravel(), "condition": conditions.ravel(), "value": _scaled(whole).ravel()}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pingouin uses deprecated features of pandas
        found = pingouin.intraclass_corr(table, targets="clip", raters="condition", ratings="value")
    values = found.set_index("Type")["ICC"]
    # Newer versions of pingouin name it differently.
    value = float(values["ICC(A,1)"] if "ICC(A,1)" in values.index else values["ICC2"])
    return value if np.isfinite(value) else None


def concordance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Return Lin's concordance correlation coefficient; None for fewer than five pairs or constant values.

    Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45, 1989:
    2 s₁₂ / (s₁² + s₂² + (m₁ − m₂)²).
    """
    both = np.isfinite(first) & np.isfinite(second)
    a, b = first[both], second[both]
    if len(a) < _LEAST_TARGETS:
        return None
    below = float(a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    if below == 0.0:
        return None
    return float(2.0 * np.mean((a - a.mean()) * (b - b.mean())) / below)


def quantiles(values: Sequence[float]) -> tuple[float, ...]:
    """Return the 5th, 25th, 50th, 75th and 95th percentile; empty if there are no values."""
    return tuple(float(one) for one in np.percentile(values, _QUANTILES)) if len(values) else ()


def _scaled(ratings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale to mean 0 and sd 1, which changes no ICC: squares of jitter are near the limits of floats."""
    scaled: NDArray[np.float64] = (ratings - ratings.mean()) / ratings.std()
    return scaled
