"""Labels of listeners of whom everything is known."""

import numpy as np

from kuaimei.analysis.calibration import Sample
from kuaimei.analysis.head import shipped_head
from kuaimei.analysis.types import Score

HEAD = shipped_head()

# Nothing like the shipped head, so that finding them is finding them in the labels.
TRUE = {"rate_syl_s": -1.1, "f0_sd_st": 0.8, "shimmer": -0.6, "pause_ratio": 0.0}
BIAS = 0.4


def utterances(count: int, seed: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    return [
        {name: norm.mean + norm.sd * float(rng.normal()) for name, norm in HEAD.norms.items()}
        for _ in range(count)
    ]


def rated(features: dict[str, float], rng: np.random.Generator, noise: float = 0.3) -> float:
    """As somebody rates who hears what `TRUE` says, in whole points."""
    z = {name: (features[name] - HEAD.norms[name].mean) / HEAD.norms[name].sd for name in TRUE}
    logit = BIAS + sum(weight * float(np.clip(z[name], -3, 3)) for name, weight in TRUE.items())
    logit += noise * float(rng.normal())
    return float(np.clip(np.rint(0.5 + 5.0 / (1.0 + np.exp(-logit))), 1, 5))


def labelled(count: int, scores: tuple[Score, ...] = ("confidence",), seed: int = 0) -> list[Sample]:
    rng = np.random.default_rng(seed + 1000)
    return [
        Sample(features, {score: rated(features, rng) for score in scores}, group=f"session {at // 5}")
        for at, features in enumerate(utterances(count, seed))
    ]


def by_chance(count: int) -> list[Sample]:
    rng = np.random.default_rng(3)
    return [Sample(one, {"confidence": float(rng.integers(1, 6))}) for one in utterances(count, 4)]
