"""Calibration: ridge regression of listeners' ratings on standardised features, cross-validated.

Fitting needs scikit-learn (``pip install 'kuaimei[calibration]'``); using a fitted head does not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kuaimei.analysis.head import Head, Quality
from kuaimei.analysis.labels import HIGHEST, LOWEST
from kuaimei.analysis.scoring import contributing, standardise
from kuaimei.analysis.types import SCORES, Score
from kuaimei.errors import SettingsError

__all__ = ["MIN_LABELS", "RECOMMENDED_LABELS", "Calibration", "Sample", "calibrate", "load_sklearn"]

MIN_LABELS: Final = 30
"""Minimum number of labels for which a score is fitted."""
RECOMMENDED_LABELS: Final = 100
"""Fewer labels are used, with a warning."""

Floats: TypeAlias = NDArray[np.float64]

_POINTS: Final = HIGHEST - LOWEST + 1.0
_FOLDS: Final = 5
_ALPHAS: Final = tuple(float(f"{alpha:.3g}") for alpha in np.logspace(-2, 4, 13))
_SEED: Final = 20261125


@dataclass(frozen=True, slots=True)
class Sample:
    """Features and listeners' ratings of one utterance.

    Attributes:
        features: Values by name; a feature that could not be measured is missing.
        ratings: Rating of each rated score, 1 to 5.
        group: Samples of one group (a session, a speaker) are in the same fold; empty: a group of its own.
    """

    features: Mapping[str, float]
    ratings: Mapping[Score, float]
    group: str = ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Result of a calibration.

    Attributes:
        head: Has fitted weights for the scores with enough labels, and the old ones for the others.
        labels: Number of rated utterances for each score.
        worse: Scores for which the fit predicts held-out ratings worse than their mean does.
    """

    head: Head
    labels: Mapping[Score, int]
    worse: tuple[Score, ...]

    @property
    def left(self) -> tuple[Score, ...]:
        """Scores that keep their old weights because they have too few labels."""
        return tuple(score for score in SCORES if score not in self.head.metrics)


def load_sklearn() -> None:
    """Check that scikit-learn can be imported.

    Raises:
        SettingsError: If it is not installed.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise SettingsError(
            "calibration needs scikit-learn; run: pip install 'kuaimei[calibration]'"
        ) from None


def calibrate(
    samples: Sequence[Sample], base: Head, shipped: Head, *, usable: frozenset[str], version: str
) -> Calibration:
    """Fit a head to ``samples``.

    Each point of the rating scale covers a fifth of the range 0 to 1; its midpoint (1: 0.1, 5: 0.9) is the
    target score. The logit of the target is regressed on the features, standardised as the head does it. The
    penalty is chosen by cross-validation inside each training fold; the reported quality is that of the
    held-out folds.

    Args:
        samples: Rated utterances; some scores may be unrated.
        base: The head in use: provides norms, and the weights of scores with too few labels.
        shipped: The head that the fit is compared with.
        usable: Features that are reliable enough to count.
        version: Version of the new head.

    Raises:
        SettingsError: If scikit-learn is missing, no score has 30 labels, or ratings do not differ.
    """
    load_sklearn()
    labels = {score: sum(score in sample.ratings for sample in samples) for score in SCORES}
    if max(labels.values()) < MIN_LABELS:
        counts = ", ".join(f"{score} {count}" for score, count in labels.items())
        raise SettingsError(
            f"there are too few labels ({counts}): a score needs at least {MIN_LABELS} rated utterances, "
            f"better {RECOMMENDED_LABELS} to 300; rate more at /label"
        )
    names = [name for name in base.norms if name in usable]
    weights, bias = dict(base.weights), dict(base.bias)
    sources = dict(base.sources)
    metrics: dict[Score, Quality] = {}
    for score in SCORES:
        rated = [sample for sample in samples if score in sample.ratings]
        if len(rated) < MIN_LABELS:
            continue
        ratings = np.array([sample.ratings[score] for sample in rated])
        if float(np.ptp(ratings)) == 0.0:
            raise SettingsError(
                f"all ratings of {score} are {ratings[0]:g}: nothing can be learned from them"
            )
        x = np.array([_inputs(sample, names, base) for sample in rated])
        fitted = _Fit.of(x, ratings, _groups(rated))
        weights[score] = dict(zip(names, fitted.weights, strict=True))
        bias[score] = fitted.bias
        sources[score] = {}
        metrics[score] = fitted.quality(ratings, _by(shipped, score, rated))
    now = datetime.now(UTC)
    head = Head(
        version=version,
        made=now.date(),
        about=f"{', '.join(metrics)}: fitted to ratings of {len(samples)} utterances; else {base.version}.",
        norms=base.norms,
        weights=weights,
        bias=bias,
        sources=sources,
        metrics=metrics,
    )
    return Calibration(head, labels, tuple(score for score, one in metrics.items() if one.r2 < 0.0))


@dataclass(frozen=True, slots=True)
class _Fit:
    """Regression of one score.

    Attributes:
        unseen: Ratings predicted for held-out utterances.
    """

    weights: tuple[float, ...]
    bias: float
    alpha: float
    unseen: Floats

    @classmethod
    def of(cls, x: Floats, ratings: Floats, groups: NDArray[np.int64]) -> "_Fit":
        y = _logits(ratings)
        unseen = np.empty(len(y))
        for train, test in _folds(groups):
            alpha = _best_alpha(x[train], y[train], groups[train])
            unseen[test] = _ratings(_ridge(x[train], y[train], alpha).predict(x[test]))
        alpha = _best_alpha(x, y, groups)
        scaler, ridge = (step for _, step in _ridge(x, y, alpha).steps)
        # Weights of the scaler's inputs, so that the head needs no second norm.
        weights = ridge.coef_ / scaler.scale_
        bias = float(ridge.intercept_ - weights @ scaler.mean_)
        return cls(tuple(round(float(w), 6) for w in weights), round(bias, 6), alpha, unseen)

    def quality(self, ratings: Floats, by_shipped: Floats) -> Quality:
        r2, r, mae = _agreement(ratings, self.unseen)
        shipped_r2, shipped_r, shipped_mae = _agreement(ratings, by_shipped)
        return Quality(
            labels=len(ratings),
            r2=r2,
            r=r,
            mae=mae,
            shipped_r2=shipped_r2,
            shipped_r=shipped_r,
            shipped_mae=shipped_mae,
            alpha=self.alpha,
        )


def _inputs(sample: Sample, names: Sequence[str], head: Head) -> list[float]:
    """Return the standardised features of a sample; a missing one counts as average, as in scoring."""
    found = sample.features
    return [standardise(name, found[name], head) if name in found else 0.0 for name in names]


def _by(head: Head, score: Score, samples: Sequence[Sample]) -> Floats:
    """Return the ratings that ``head`` predicts."""
    logits = [
        head.bias[score] + sum(part.amount for part in contributing(sample.features, score, head))
        for sample in samples
    ]
    return _ratings(np.array(logits))


def _groups(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Return the group number of each sample."""
    numbers: dict[str, int] = {}
    return np.array(
        [numbers.setdefault(sample.group or f"\0{at}", len(numbers)) for at, sample in enumerate(samples)],
        np.int64,
    )


def _folds(groups: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield indices to fit and to validate on; groups are not split if there are three or more of them."""
    from sklearn.model_selection import GroupKFold, KFold

    count = len(np.unique(groups))
    blank = np.zeros((len(groups), 1))
    if count >= 3:
        yield from GroupKFold(min(_FOLDS, count), shuffle=True, random_state=_SEED).split(
            blank, groups=groups
        )
    else:
        yield from KFold(_FOLDS, shuffle=True, random_state=_SEED).split(blank)


def _best_alpha(x: Floats, y: Floats, groups: NDArray[np.int64]) -> float:
    """Return the penalty with the least squared error on held-out data; of equals, the strongest."""
    errors = np.zeros(len(_ALPHAS))
    for train, test in _folds(groups):
        # The target is repeated for each penalty: one fit instead of thirteen.
        every = np.repeat(y[train, np.newaxis], len(_ALPHAS), axis=1)
        guessed = _ridge(x[train], every, np.array(_ALPHAS)).predict(x[test])
        errors += np.square(guessed - y[test, np.newaxis]).sum(axis=0)
    return _ALPHAS[len(_ALPHAS) - 1 - int(errors[::-1].argmin())]


def _ridge(x: Floats, y: Floats, alpha: float | Floats) -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(x, y)


def _logits(ratings: Floats) -> Floats:
    shares = (ratings - LOWEST + 0.5) / _POINTS
    logits: Floats = np.log(shares / (1.0 - shares))
    return logits


def _ratings(logits: Floats) -> Floats:
    shares = 1.0 / (1.0 + np.exp(-np.clip(logits, -30.0, 30.0)))
    ratings: Floats = np.clip(LOWEST - 0.5 + _POINTS * shares, LOWEST, HIGHEST)
    return ratings


def _agreement(ratings: Floats, guessed: Floats) -> tuple[float, float | None, float]:
    """Return R², Pearson's r and the mean absolute error."""
    from sklearn.metrics import mean_absolute_error, r2_score

    still = float(np.ptp(guessed)) == 0.0 or float(np.ptp(ratings)) == 0.0
    r = None if still else round(float(np.corrcoef(ratings, guessed)[0, 1]), 4)
    return (
        round(float(r2_score(ratings, guessed)), 4),
        r,
        round(float(mean_absolute_error(ratings, guessed)), 4),
    )
