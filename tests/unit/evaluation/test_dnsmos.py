from typing import Any

import numpy as np
import pytest

from kuaimei.audio.pcm import EMPTY, Pcm
from kuaimei.engines.speaker.features import slaney_filters
from kuaimei.errors import AudioError, WeightsError
from kuaimei.evaluation.dnsmos import Dnsmos, load_dnsmos, log_mel

RATE = 16_000


class Recorder:
    """A network that gives the same answer to everything."""

    def __init__(self, answer: list[float]) -> None:
        self.answer = answer
        self.heard: list[Any] = []

    def run(self, output_names: list[str] | None, input_feed: dict[str, Any]) -> list[Any]:
        self.heard.append(input_feed["input_1"])
        return [np.array([self.answer], np.float32)]


def noise(seconds: float, rate: int = RATE) -> Pcm:
    return np.random.default_rng(0).integers(-3000, 3000, int(seconds * rate)).astype(np.int16)


@pytest.mark.parametrize(
    ("seconds", "windows"), [(0.5, 7), (3.0, 3), (9.01, 1), (10.9, 1), (11.0, 2), (17.2, 8)]
)
def test_as_many_windows_as_the_authors_take(seconds: float, windows: int) -> None:
    p835, p808 = Recorder([3.0, 3.0, 3.0]), Recorder([3.5])
    opinion = Dnsmos(p835, p808).rate(noise(seconds), RATE)
    assert len(p835.heard) == len(p808.heard) == windows
    assert {heard.shape for heard in p835.heard} == {(1, 144_160)}
    assert {heard.shape for heard in p808.heard} == {(1, 900, 120)}
    assert opinion.p808 == pytest.approx(3.5)
    assert opinion.signal == pytest.approx(-0.08397278 * 9 + 1.22083953 * 3 + 0.0052439)
    assert opinion.background == pytest.approx(-0.13166888 * 9 + 1.60915514 * 3 - 0.39604546)
    assert opinion.overall == pytest.approx(-0.06766283 * 9 + 1.11546468 * 3 + 0.04602535)


def test_other_rates_are_brought_to_16_khz() -> None:
    p835 = Recorder([1.0, 1.0, 1.0])
    Dnsmos(p835, Recorder([1.0])).rate(noise(9.5, 24_000), 24_000)
    assert p835.heard[0].shape == (1, 144_160)


@pytest.mark.parametrize("nothing", [EMPTY, np.zeros(RATE, np.int16)])
def test_silence_cannot_be_rated(nothing: Pcm) -> None:
    with pytest.raises(AudioError, match="silence"):
        Dnsmos(Recorder([1, 1, 1]), Recorder([1])).rate(nothing, RATE)


def test_mel_filters_have_equal_areas_and_rising_centres() -> None:
    filters = slaney_filters(RATE, 2048, 40)
    assert filters.shape == (40, 1025)
    assert (filters >= 0).all()
    centres = filters.argmax(axis=1) * RATE / 2048
    assert (np.diff(centres) > 0).all()
    assert filters.sum(axis=1)[5:] * RATE / 2048 == pytest.approx(np.ones(35), rel=0.1)
    # Linear below 1 kHz: bands of equal width; above they widen by a constant ratio.
    steps = np.diff(centres)
    assert steps[2] == pytest.approx(steps[6], abs=16)
    assert steps[-1] > 2 * steps[2]


def test_the_log_mel_spectrum_is_relative_to_its_loudest() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    filters = slaney_filters(RATE, 321, 120)
    loud, soft = log_mel(tone, filters), log_mel(0.1 * tone, filters)
    assert loud.shape == (100, 120)
    assert loud.max() == pytest.approx(1.0)
    assert loud.min() >= -1.0
    assert np.allclose(loud, soft, atol=1e-3)
    assert filters[loud[50].argmax()].argmax() * RATE / 321 == pytest.approx(1000, abs=60)


def test_missing_weights_say_what_to_do(tmp_path: Any) -> None:
    with pytest.raises(WeightsError, match="kuaimei models pull"):
        load_dnsmos(tmp_path)
