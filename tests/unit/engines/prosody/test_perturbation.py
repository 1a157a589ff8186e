import numpy as np
import pytest
from numpy.typing import NDArray

from bench.prosody_voices import RATE, make_voice
from kuaimei.audio.pcm import from_float
from kuaimei.audio.pitch import track_pitch
from kuaimei.engines.prosody.harmonicity import harmonics_to_noise_db, period_correlation
from kuaimei.engines.prosody.perturbation import Pulses, jitter, mark_pulses, shimmer


def pulses(periods: NDArray[np.float64], amplitudes: NDArray[np.float64] | None = None) -> Pulses:
    """Periods in s."""
    times = np.concatenate([[0.0], np.cumsum(periods)]) * RATE
    return Pulses(
        times, np.ones(len(times)) if amplitudes is None else amplitudes, np.zeros(len(times), np.int64)
    )


def test_jitter_is_the_mean_difference_of_neighbours_over_the_mean() -> None:
    periods = np.tile([0.0100, 0.0101], 10)
    assert jitter(pulses(periods)) == pytest.approx(0.0001 / 0.01005, rel=1e-6)


def test_shimmer_is_the_same_of_strengths() -> None:
    strengths = np.tile([1.0, 0.9], 10)
    assert shimmer(pulses(np.full(19, 0.01), strengths)) == pytest.approx(0.1 / 0.95, rel=1e-6)


def test_what_is_no_pair_of_periods_is_left_out() -> None:
    periods = np.full(30, 0.01)
    periods[10] = 0.02  # an octave: more than 1.3 times its neighbours
    periods[20] = 0.03  # a gap
    assert jitter(pulses(periods)) == pytest.approx(0.0, abs=1e-9)
    strengths = np.ones(31)
    strengths[12] = 2.0  # more than 1.6 times
    assert shimmer(pulses(np.full(30, 0.01), strengths)) == pytest.approx(0.0, abs=1e-9)


def test_stretches_are_not_compared_with_each_other() -> None:
    times = np.concatenate([np.arange(12) * 160.0, 12 * 160.0 + np.arange(12) * 176.0])
    both = Pulses(times, np.repeat([1.0, 1.5], 12), np.repeat([0, 1], 12))
    assert jitter(both) == pytest.approx(0.0, abs=1e-9)
    assert shimmer(both) == pytest.approx(0.0, abs=1e-9)


def test_few_periods_tell_nothing() -> None:
    assert jitter(pulses(np.full(9, 0.01))) is None
    assert shimmer(pulses(np.full(9, 0.01))) is None
    assert jitter(Pulses(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))) is None


def test_pulses_lie_one_period_apart_and_all_are_found() -> None:
    samples, truth = make_voice(130.0, jitter=0.01, seconds=2.0)
    marked = mark_pulses(samples, track_pitch(from_float(samples), RATE))
    assert len(marked.times) == pytest.approx(260, abs=4)
    assert RATE / np.diff(marked.times).mean() == pytest.approx(truth.f0_hz, rel=0.002)
    assert (marked.stretch == 0).all()


def test_every_voiced_stretch_has_pulses_of_its_own() -> None:
    voice, _ = make_voice(130.0, seconds=0.5)
    gap = np.zeros(RATE // 4, np.float32)
    samples = np.concatenate([voice, gap, voice, gap, voice])
    marked = mark_pulses(samples, track_pitch(from_float(samples), RATE))
    assert len(np.unique(marked.stretch)) == 3
    assert (np.diff(marked.times)[np.diff(marked.stretch) > 0] > 0.9 * RATE / 4).all()
    assert (np.diff(marked.times) > 0).all()


def test_no_voice_has_no_pulses() -> None:
    nothing = mark_pulses(np.zeros(RATE, np.float32), np.zeros(100, np.float32))
    assert not len(nothing.times)
    assert harmonics_to_noise_db(np.zeros(RATE, np.float32), np.zeros(100, np.float32)) is None


def test_a_voice_is_like_itself_one_period_later_and_noise_is_not() -> None:
    samples, _ = make_voice(200.0, seconds=0.5)
    noise = np.random.default_rng(0).normal(0, 0.1, RATE // 2).astype(np.float32)
    f0_hz, frames = np.full(50, 200.0, np.float32), np.arange(10, 40)
    assert period_correlation(samples, f0_hz, frames).min() > 0.999
    assert np.abs(period_correlation(noise, f0_hz, frames)).mean() < 0.25
    assert len(period_correlation(samples, f0_hz, np.zeros(0, np.int64))) == 0
