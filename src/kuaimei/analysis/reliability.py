"""Which features can be relied upon: those that say the same of the same speech under other conditions."""

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
"""Gain of −12, 0 and +12 dB; 8, 16 and 48 kHz; pink noise at 20 dB; MP3 of 64 kbit/s; recorded again."""

CONDITIONS: Final[tuple[Condition, ...]] = get_args(Condition)

GATES: Final[Mapping[Condition, float]] = {"gain": 0.9, "rate": 0.9, "noise": 0.75}
"""Least ICC(2,1) of a feature that may count: excellent and good after Koo and Li, "A guideline of selecting
and reporting intraclass correlation coefficients", J. Chiropractic Medicine 15, 2016."""

SCORE_GATE: Final = 0.5
"""Below it reliability is poor, again after Koo and Li: in such noise there is a reason and no score."""

_LEAST_TARGETS: Final = 5
_QUANTILES: Final = (5, 25, 50, 75, 95)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FeatureFigures(_Model):
    """One feature.

    Attributes:
        icc: Of each condition; None: it cannot be told (too few clips, or no spread between them).
        quantiles: 5th, 25th, 50th, 75th and 95th percentile over the clips as they are.
        clips: It was measured in.
    """

    icc: Mapping[Condition, float | None]
    quantiles: tuple[float, ...]
    clips: int

    @property
    def reliable(self) -> bool:
        """It may carry a weight."""
        return all((self.icc.get(name) or 0.0) >= least for name, least in GATES.items())


class Figures(_Model):
    """What a bench found.

    Attributes:
        made: When.
        extractor: By what the features were measured.
        speech: Whose speech it was.
        clips: How many.
        features: Of each feature.
        scores: ICC of each score between the clips as they are and with noise, by SNR in dB.
        heard_snr_db: What was measured as SNR in that noise, median.
        floor_snr_db: The measured SNR of the worst noise in which no score is unreliable (`SCORE_GATE`);
            None: even at 20 dB one is.
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
        """Features that may carry a weight."""
        return frozenset(name for name, one in self.features.items() if one.reliable)


@cache
def shipped_figures() -> Figures:
    """Those by which the shipped head was made."""
    text = (files("kuaimei.analysis") / "reliability.json").read_text(encoding="utf-8")
    try:
        return Figures.model_validate(json.loads(text))
    except (ValueError, ValidationError) as error:
        raise SettingsError(
            f"analysis/reliability.json is damaged: {error}; install kuaimei again"
        ) from error


def load_pingouin() -> Any:
    """What computes ICC.

    Raises:
        SettingsError: If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its libraries, at import
            import pingouin
    except ImportError:
        raise SettingsError(
            "reliability is computed by pingouin (GPL-3), which is not installed; "
            "run: pip install 'kuaimei[reliability]'"
        ) from None
    return pingouin


def icc(ratings: NDArray[np.float64]) -> float | None:
    """ICC(2,1): two-way random effects, absolute agreement, a single measurement.

    Shrout and Fleiss, "Intraclass correlations: uses in assessing rater reliability", Psychological
    Bulletin 86, 1979. Absolute: a feature that noise shifts in all clips alike is not reliable, since its
    norm does not shift with it.

    Args:
        ratings: A row for each clip, a column for each condition; rows with NaN are left out.

    Returns:
        At most 1; None below five clips, or where they do not differ.
    """
    whole = ratings[np.isfinite(ratings).all(axis=1)]
    if len(whole) < _LEAST_TARGETS or whole.shape[1] < 2 or float(np.ptp(whole)) == 0.0:
        return None
    if not np.ptp(whole, axis=1).any():
        return 1.0  # the same everywhere: the mean square of the error, by which is divided, would be 0
    pingouin = load_pingouin()
    import pandas  # type: ignore[import-untyped]

    clips, conditions = np.indices(whole.shape)
    table = pandas.DataFrame(
        {"clip": clips.ravel(), "condition": conditions.ravel(), "value": _scaled(whole).ravel()}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pingouin uses what its pandas is about to give up
        found = pingouin.intraclass_corr(table, targets="clip", raters="condition", ratings="value")
    values = found.set_index("Type")["ICC"]
    # Newer versions of pingouin have another name for it.
    value = float(values["ICC(A,1)"] if "ICC(A,1)" in values.index else values["ICC2"])
    return value if np.isfinite(value) else None


def concordance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Lin's concordance correlation coefficient; None below five pairs, or where nothing differs.

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
    """5th, 25th, 50th, 75th and 95th percentile; empty of nothing."""
    return tuple(float(one) for one in np.percentile(values, _QUANTILES)) if len(values) else ()


def _scaled(ratings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Around 0 and of spread 1, which changes no ICC: jitter in squares is near the limits of numbers."""
    scaled: NDArray[np.float64] = (ratings - ratings.mean()) / ratings.std()
    return scaled
