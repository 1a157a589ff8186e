"""What is computed of measurements; the measuring itself is in the integration tests."""

from dataclasses import replace

import numpy as np
import pytest

from kuaimei.analysis.head import FEATURES, shipped_head
from kuaimei.audio.pcm import ASR_RATE, EMPTY
from kuaimei.engines.prosody.types import Features
from kuaimei.evaluation.analysis_reliability import (
    AS_IT_IS,
    MP3,
    NOISES_DB,
    Clip,
    Measurement,
    SeriesResult,
    degraded_takes,
    figures,
)
from kuaimei.evaluation.speech_transforms import SERIES

HEAD = shipped_head()


def clip(name: str, speaker: str = "") -> Clip:
    return Clip(name, EMPTY, 48_000, "好", "zh", speaker or name)


def labels() -> list[str]:
    return [label for label, _, _ in degraded_takes(clip("a"), (EMPTY, ASR_RATE), 0)]


def heard(count: int, noise: float, *, speakers: int = 0, seed: int = 0) -> list[Measurement]:
    """Clips that differ by one deviation, and takes of a clip by ``noise`` deviations where it is noisy."""
    rng = np.random.default_rng(seed)
    found = []
    for at in range(count):
        z = {name: float(rng.normal()) for name in HEAD.norms}
        plain = Features(
            duration_s=4.0,
            speech_s=3.0,
            snr_db=40.0,
            f0_mean_hz=100.0 + at,
            **{name: norm.mean + norm.sd * z[name] for name, norm in HEAD.norms.items()},
        )
        one = Measurement(clip(f"{at}", f"speaker {at % speakers}" if speakers else ""))
        for label in labels():
            shift = noise if label.endswith("SNR") else 0.0
            moved = {
                n: getattr(plain, n) + shift * norm.sd * float(rng.normal()) for n, norm in HEAD.norms.items()
            }
            one.features[label] = replace(plain, **moved, snr_db=30.0)
        found.append(one)
    return found


def test_takes_are_at_the_rates_they_say() -> None:
    tone = (8000 * np.sin(np.arange(48_000) * 0.03)).astype(np.int16)
    one = Clip("a", tone, 48_000, "", None, "a")
    made = {label: (pcm, rate) for label, pcm, rate in degraded_takes(one, (tone[:16_000], ASR_RATE), 0)}
    assert set(made) == {"-12 dB", "0 dB", "+12 dB", "8 kHz", AS_IT_IS, "48 kHz", MP3} | {
        f"{noise} dB SNR" for noise in NOISES_DB
    }
    assert all(len(pcm) == pytest.approx(rate, abs=2) for pcm, rate in made.values())
    assert (made["8 kHz"][1], made["48 kHz"][1], made[AS_IT_IS][1]) == (8_000, 48_000, 16_000)


def test_features_that_noise_moves_fail() -> None:
    steady = figures(heard(20, 0.1), HEAD, extractor="own-1", speech="none")
    moved = figures(heard(20, 2.0), HEAD, extractor="own-1", speech="none")
    assert set(steady.features) == set(FEATURES)
    assert steady.clips == 20
    for name in HEAD.norms:
        assert steady.features[name].reliable, name
        assert steady.features[name].icc["gain"] == 1.0
        assert not moved.features[name].reliable, name
    assert steady.floor_snr_db == 30.0
    assert moved.floor_snr_db is None
    assert steady.heard_snr_db == dict.fromkeys(NOISES_DB, 30.0)


def test_recorded_again_is_over_speakers() -> None:
    alone = figures(heard(12, 0.1), HEAD, extractor="own-1", speech="none")
    assert alone.features["jitter"].icc["again"] is None
    several = figures(heard(18, 0.1, speakers=6), HEAD, extractor="own-1", speech="none")
    again = several.features["jitter"].icc["again"]
    assert again is not None
    assert again < 0.6  # those recordings have nothing in common


def test_a_feature_that_nobody_has_is_not_reliable() -> None:
    some = heard(8, 0.1)
    for one in some:
        one.features = {label: replace(f, hnr_db=None) for label, f in one.features.items()}
    found = figures(some, HEAD, extractor="own-1", speech="none").features["hnr_db"]
    assert (found.clips, found.quantiles, found.reliable) == (0, (), False)


def test_following() -> None:
    falls, rises = SERIES["hesitant"], SERIES["lively"]
    down = ((0.9, 0.7, 0.5), (0.8, 0.8, 0.3), (0.5, 0.6, 0.1))
    assert SeriesResult(falls, down).follows
    assert SeriesResult(falls, down).clips_that_follow == 2
    assert SeriesResult(falls, down).means == pytest.approx((0.7333, 0.7, 0.3), abs=1e-3)
    assert not SeriesResult(rises, down).follows
    assert not SeriesResult(falls, ((0.5, 0.5, 0.5),)).follows
    assert SeriesResult(falls, ((0.5, 0.5, 0.5),)).clips_that_follow == 0
