import numpy as np
import pytest

from kuaimei.audio.pcm import EMPTY, Pcm, from_float, to_float
from kuaimei.evaluation.degradations import HEADROOM_DB, add_noise, amplify, speech_power

RATE = 16_000


def tone(level: float, seconds: float = 1.0, hz: float = 220.0) -> Pcm:
    return from_float(level * np.sin(2.0 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE))


def peak_db(pcm: Pcm) -> float:
    return float(20.0 * np.log10(np.abs(to_float(pcm)).max()))


@pytest.mark.parametrize("level", [0.01, 0.3, 1.0])
def test_twelve_decibels_more_never_clip(level: float) -> None:
    pcm = tone(level)
    for gain_db in (-12.0, 0.0, 12.0):
        assert peak_db(amplify(pcm, gain_db)) == pytest.approx(gain_db - HEADROOM_DB, abs=0.1)


def test_of_silence_nothing_is_amplified() -> None:
    assert not amplify(np.zeros(100, np.int16), 12.0).any()
    assert len(amplify(EMPTY, 12.0)) == 0


@pytest.mark.parametrize("snr_db", [20.0, 5.0])
def test_noise_lies_where_it_was_asked_for(snr_db: float) -> None:
    quiet = np.zeros(RATE, np.int16)
    clean = np.concatenate([quiet, tone(0.25), quiet])  # silence does not make speech softer
    noisy = add_noise(clean, RATE, snr_db, seed=1)
    noise = to_float(noisy)[:RATE]
    told = 10.0 * np.log10(speech_power(to_float(clean), RATE) / np.mean(np.square(noise)))
    assert told == pytest.approx(snr_db, abs=0.7)


def test_noise_is_pink_and_the_same_every_time() -> None:
    first = add_noise(tone(0.1), RATE, 0.0, seed=2)
    assert np.array_equal(first, add_noise(tone(0.1), RATE, 0.0, seed=2))
    assert not np.array_equal(first, add_noise(tone(0.1), RATE, 0.0, seed=3))
    power = np.abs(np.fft.rfft(to_float(first) - to_float(tone(0.1)))) ** 2
    octaves = [power[low : 2 * low].sum() for low in (250, 500, 1000, 2000)]  # a bin is 1 Hz
    assert max(octaves) < 1.4 * min(octaves)


def test_too_loud_together_is_made_softer_instead_of_clipped() -> None:
    noisy = add_noise(tone(1.0), RATE, 0.0, seed=1)
    assert np.count_nonzero(np.abs(noisy) >= 32767) == 0
    assert len(add_noise(EMPTY, RATE, 20.0, seed=0)) == 0
