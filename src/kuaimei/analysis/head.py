"""The regression head: which features count how much, where each weight comes from, and what it is worth."""

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
"""Every feature there is, in the order in which they are shown."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Norm(_Model):
    """How a feature is spread among utterances.

    Attributes:
        mean: In the unit of the feature.
        sd: Standard deviation, likewise.
        source: Where both come from.
    """

    mean: float
    sd: float = Field(gt=0)
    source: str = ""


class Quality(_Model):
    """What a fitted score is worth on labels that were not in the fit, beside the shipped head.

    Attributes:
        labels: Utterances.
        r2: Share of the variance of the ratings it explains (1 is all, 0 is no better than their mean).
        r: Pearson's correlation with the ratings; None where one of both does not vary.
        mae: Mean absolute error, in points of the scale of 1 to 5.
        shipped_r2: Likewise, of the head that comes with the package, on the same labels.
        shipped_r: Likewise.
        shipped_mae: Likewise.
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
    """A score is 1 / (1 + exp(−(bias + Σ weight · z))), z being a feature less its mean over its sd.

    Attributes:
        version: Changes whenever a number here does; it is kept with every score.
        made: When.
        about: What it was made from.
        norms: Of each feature that can be standardised.
        weights: Of each score, by feature; what has none counts nothing.
        bias: Of each score; 0: the average utterance gets 0.5.
        sources: Of each score, by feature: where the sign of the weight comes from.
        metrics: Of the scores that were fitted to labels.
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
                    raise ValueError(f"{score}: {name} has a weight and no norm")
        return self

    def used(self) -> frozenset[str]:
        """Features that count in some score."""
        return frozenset(name for line in self.weights.values() for name, weight in line.items() if weight)


def read_head(text: str, where: str) -> Head:
    """A head from JSON.

    Args:
        text: What is in the file.
        where: It came from; told where it is wrong.

    Raises:
        SettingsError: If it is none.
    """
    try:
        return Head.model_validate(json.loads(text))
    except ValidationError as error:
        what = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'head'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()[:3]
        )
        raise SettingsError(f"{where} is no head of scores ({what})") from error
    except ValueError as error:
        raise SettingsError(f"{where} is not JSON: {error}") from error


@cache
def shipped_head() -> Head:
    """That of the package: signs from the literature, sizes judged, norms by ``scripts/fit_norms.py``."""
    file = files("kuaimei.analysis") / "head.json"
    return read_head(file.read_text(encoding="utf-8"), Path(str(file)).name)
