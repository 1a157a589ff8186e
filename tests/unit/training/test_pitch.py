import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.training.pitch import log_statistics, track_pitch

RATE = 24_000
HOP_S = 0.0125


def voice(hertz: NDArray[np.float64]) -> NDArray[np.float32]:
    """A buzz of ten harmonics at that frequency for each sample."""
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    buzz: NDArray[np.float64] = np.sum([np.sin(k * phase) / k for k in range(1, 11)], 0)
    return (buzz * 0.1).astype(np.float32)


@pytest.mark.parametrize("hertz", [80.0, 130.0, 220.0, 330.0, 480.0])
def test_a_steady_voice_has_its_pitch(hertz: float) -> None:
    found = track_pitch(voice(np.full(RATE, hertz)), RATE, HOP_S)
    assert len(found) == 80
    assert (found[4:-4] > 0).all()
    np.testing.assert_allclose(found[4:-4], hertz, rtol=0.01)


def test_a_glide_is_followed_without_jumps() -> None:
    hertz = np.geomspace(120.0, 360.0, 2 * RATE)
    found = track_pitch(voice(hertz), RATE, HOP_S)
    middle = hertz[(np.arange(len(found)) * 300 + 150).clip(max=len(hertz) - 1)]
    np.testing.assert_allclose(found[4:-4], middle[4:-4], rtol=0.03)


def test_noise_and_silence_have_none() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    assert (track_pitch(noise, RATE, HOP_S) > 0).mean() < 0.1
    assert not track_pitch(np.zeros(RATE, np.float32), RATE, HOP_S).any()
    assert len(track_pitch(np.zeros(10, np.float32), RATE, HOP_S)) == 0


def test_a_pause_between_voices_is_unvoiced() -> None:
    tone = voice(np.full(RATE // 2, 200.0))
    found = track_pitch(np.concatenate([tone, np.zeros(RATE // 2, np.float32), tone]), RATE, HOP_S)
    assert (found[4:36] > 0).all()
    assert not found[44:76].any()
    assert (found[84:116] > 0).all()


def test_statistics_are_of_the_logarithm_of_what_is_voiced() -> None:
    pitch = np.array([0.0, 100.0, 200.0, 0.0, 100.0, 200.0], np.float32)
    statistics = log_statistics(pitch)
    assert statistics is not None
    assert statistics == pytest.approx((np.log(100.0) + np.log(2.0) / 2, np.log(2.0) / 2), rel=1e-5)
    assert log_statistics(np.zeros(5, np.float32)) is None
