"""The regression head: weights of the features, their sources, and the quality of fitted scores."""

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kuaimei.analysis.types import SCORES, Score
from kuaimei.engines.prosody.types import Features
from kuaimei.errors import SettingsError

__all__ = ["FEATURES", "Head", "Norm", "Quality", "read_head", "shipped_head"]

FEATURES: Final[tuple[str, ...]] = tuple(field.name for field in fields(Features))
"""Names of all features, in display order."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Norm(_Model):
    """Distribution of a feature over utterances.

    Attributes:
        mean: In the unit of the feature.
        sd: Standard deviation, in the unit of the feature.
        source: Where both come from.
    """

    mean: float
    sd: float = Field(gt=0)
    source: str = ""


class Quality(_Model):
    """Quality of a fitted score on held-out labels, compared with the shipped head.

    Attributes:
        labels: Number of rated utterances.
        r2: Explained share of the variance of the ratings (1: all, 0: no better than their mean).
        r: Pearson's correlation with the ratings; None if either does not vary.
        mae: Mean absolute error, in points of the scale of 1 to 5.
        shipped_r2: R² of the shipped head on the same labels.
        shipped_r: Correlation of the shipped head on the same labels.
        shipped_mae: Mean absolute error of the shipped head on the same labels.
        alpha: Strength of the ridge penalty.
    """

    labels: int
    r2: float
    r: float | None
    mae: float
    shipped_r2: float
    shipped_r: float | None
    shipped_mae: float
    alpha: float


class Head(_Model):
    """Regression head: a score is 1 / (1 + exp(−(bias + Σ weight · z))).

    z is (feature − mean) / sd, clipped to ±3.

    Attributes:
        version: Changes whenever a number here does; stored with every score.
        made: Date of creation.
        about: What it was made from.
        norms: Norm of each feature that can be standardised.
        weights: Weights of each score by feature; a feature without one does not count.
        bias: Bias of each score; 0: the average utterance gets 0.5.
        sources: For each score and feature, where the sign of the weight comes from.
        metrics: Quality of the scores that were fitted to labels.
    """

    version: str = Field(min_length=1)
    made: date
    about: str
    norms: Mapping[str, Norm]
    weights: Mapping[Score, Mapping[str, float]]
    bias: Mapping[Score, float]
    sources: Mapping[Score, Mapping[str, str]] = Field(default_factory=dict)
    metrics: Mapping[Score, Quality] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in self.norms:
            if name not in FEATURES:
                raise ValueError(f"there is no feature {name}")
        for score in SCORES:
            if score not in self.weights or score not in self.bias:
                raise ValueError(f"{score} has no weights or no bias")
            for name in self.weights[score]:
                if name not in self.norms:
                    raise ValueError(f"{score}: {name} has a weight but no norm")
        return self

    def used(self) -> frozenset[str]:
        """Return the features with a nonzero weight in any score."""
        return frozenset(name for line in self.weights.values() for name, weight in line.items() if weight)


def read_head(text: str, where: str) -> Head:
    """Parse a head from JSON.

    Args:
        text: Content of the file.
        where: Name of the file, for error messages.

    Raises:
        SettingsError: If ``text`` is not a valid head.
    """
    try:
        return Head.model_validate(json.loads(text))
    except ValidationError as error:
        what = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'head'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()[:3]
        )
        raise SettingsError(f"{where} is not a valid scoring head ({what})") from error
    except ValueError as error:
        raise SettingsError(f"{where} is not JSON: {error}") from error


@cache
def shipped_head() -> Head:
    """Return the head in the package.

    Signs are from the literature, sizes are estimated, norms are made by ``scripts/fit_norms.py``.
    """
    file = files("kuaimei.analysis") / "head.json"
    return read_head(file.read_text(encoding="utf-8"), Path(str(file)).name)
