import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.audio.pcm import EMPTY, Pcm, from_float
from kuaimei.audio.pitch import summarise_pitch, track_pitch

RATE = 24_000


def buzz(hz: NDArray[np.float64], rate: int = RATE, partials: int = 12) -> Pcm:
    """A vowel-like tone whose pitch follows ``hz``, shape (n,); partials fall by 6 dB an octave."""
    phase = 2 * np.pi * np.cumsum(hz) / rate
    wave = sum(np.sin(k * phase) / k for k in range(1, partials + 1))
    return from_float(0.2 * np.asarray(wave))


@pytest.mark.parametrize("hz", [75.0, 118.0, 210.0, 330.0, 470.0])
@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100])
def test_a_steady_tone_is_found(hz: float, rate: int) -> None:
    track = track_pitch(buzz(np.full(rate, hz), rate), rate)
    middle = track[10:-10]
    assert (middle > 0).all()
    assert np.abs(middle / hz - 1).max() < 0.01


def test_a_glide_is_followed_in_time() -> None:
    hz = np.geomspace(120.0, 360.0, 2 * RATE)
    track = track_pitch(buzz(hz), RATE)
    expected = hz[(np.arange(len(track)) * 240 + 120)]
    assert np.abs(track[10:-10] / expected[10:-10] - 1).max() < 0.03


def test_noise_and_silence_have_no_pitch() -> None:
    noise = from_float(np.random.default_rng(0).normal(0, 0.1, RATE))
    assert np.mean(track_pitch(noise, RATE) > 0) < 0.05
    assert not track_pitch(np.zeros(RATE, np.int16), RATE).any()
    assert len(track_pitch(EMPTY, RATE)) == 0


def test_hum_in_the_pauses_is_no_voice() -> None:
    voice = buzz(np.full(RATE, 200.0)).astype(np.float64)
    hum = 20.0 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    track = track_pitch(np.concatenate([voice, hum, voice]).astype(np.int16), RATE)
    assert not track[110:190].any()
    assert np.allclose(track[track > 0], 200.0, rtol=0.02)


def test_noise_on_a_voice_makes_no_octave_errors() -> None:
    voice = buzz(np.full(2 * RATE, 140.0))
    noise = np.random.default_rng(1).normal(0, 0.02, len(voice)) * 32768
    track = track_pitch((voice + noise).astype(np.int16), RATE)
    voiced = track[track > 0]
    assert len(voiced) > 150
    assert np.allclose(voiced, 140.0, rtol=0.05)


def test_the_summary_measures_liveliness() -> None:
    flat = track_pitch(buzz(200.0 * np.exp(0.05 * np.sin(np.linspace(0, 40, 3 * RATE)))), RATE)
    lively = track_pitch(buzz(200.0 * np.exp(0.3 * np.sin(np.linspace(0, 40, 3 * RATE)))), RATE)
    low, high = summarise_pitch(flat), summarise_pitch(lively)
    assert low is not None
    assert high is not None
    assert low.mean_hz == pytest.approx(200, rel=0.03)
    assert low.log_sd == pytest.approx(0.05 / np.sqrt(2), rel=0.15)  # of a sine of that amplitude
    assert high.log_sd == pytest.approx(0.3 / np.sqrt(2), rel=0.1)
    assert high.low_hz == pytest.approx(200 * np.exp(-0.3), rel=0.05)
    assert high.high_hz == pytest.approx(200 * np.exp(0.3), rel=0.05)
    assert high.voiced_s == pytest.approx(3.0, abs=0.2)


def test_hardly_any_voice_has_no_summary() -> None:
    assert summarise_pitch() is None
    assert summarise_pitch(np.zeros(100, np.float32)) is None
    assert summarise_pitch(np.full(5, 200, np.float32), np.full(4, 200, np.float32)) is None
