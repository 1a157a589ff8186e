import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm, from_float
from kuaimei.engines.prosody.pauses import detect_pauses
from kuaimei.engines.prosody.preprocessing import prepare

RATE = 16_000
LATE_S = 0.07
"""By which detectors hear late."""


class Script:
    """Hears what it was told to: seconds from and to which it is sure of speech."""

    frame_samples = 320  # 20 ms

    def __init__(self, *speech: tuple[float, float], sure: float = 0.9) -> None:
        self._speech = speech
        self._sure = sure
        self._at = 0

    def probability(self, frame: Pcm) -> float:
        assert frame.shape == (self.frame_samples,)
        middle = (self._at + 0.5) * self.frame_samples / RATE
        self._at += 1
        return self._sure if any(start <= middle < end for start, end in self._speech) else 0.05

    def reset(self) -> None:
        self._at = 0


def talk(*loud: tuple[float, float], seconds: float = 4.0, soft: float = 0.0005) -> Pcm:
    """Noise, loud from and to those seconds."""
    rng = np.random.default_rng(0)
    level = np.full(int(seconds * RATE), soft)
    for start, end in loud:
        level[int(start * RATE) : int(end * RATE)] = 0.1
    return from_float(level * rng.normal(size=len(level)))


def test_pauses_lie_between_and_silence_at_the_ends_is_none() -> None:
    parts = ((0.5, 1.5), (2.0, 3.0))
    heard = detect_pauses(prepare(talk(*parts), RATE), Script(*parts))
    assert heard.whole is not None
    assert heard.whole.start_s == pytest.approx(0.5 - LATE_S, abs=0.02)
    assert heard.whole.end_s == pytest.approx(3.0, abs=0.02)
    (pause,) = heard.pauses
    assert pause.start_s == pytest.approx(1.5, abs=0.02)
    assert pause.end_s == pytest.approx(2.0, abs=0.02)
    assert np.count_nonzero(heard.speech) == pytest.approx(207, abs=3)


@pytest.mark.parametrize(("gap_s", "pauses"), [(0.16, 0), (0.24, 1)])
def test_what_is_shorter_than_a_fifth_of_a_second_is_articulation(gap_s: float, pauses: int) -> None:
    parts = ((0.5, 1.5), (1.5 + gap_s, 3.0))
    heard = detect_pauses(prepare(talk(*parts), RATE), Script(*parts))
    assert len(heard.pauses) == pauses


def test_a_vowel_that_the_detector_misses_is_no_pause() -> None:
    heard = detect_pauses(prepare(talk((0.5, 3.0)), RATE), Script((0.5, 1.5), (2.0, 3.0)))
    assert heard.pauses == ()
    assert np.count_nonzero(heard.speech) == pytest.approx(257, abs=3)


def test_a_click_is_no_speech() -> None:
    parts = ((0.5, 0.56), (1.5, 3.0), (3.6, 3.66))
    heard = detect_pauses(prepare(talk(*parts), RATE), Script(*parts))
    assert heard.whole is not None
    assert heard.whole.start_s == pytest.approx(1.5 - LATE_S, abs=0.02)
    assert heard.whole.end_s == pytest.approx(3.0, abs=0.02)


def test_doubt_goes_on_as_what_was_before() -> None:
    class Doubts(Script):
        def probability(self, frame: Pcm) -> float:
            sure = super().probability(frame)
            return 0.42 if 1.2 <= self._at * 0.02 < 1.8 and sure < 0.5 else sure

    parts = ((0.5, 1.2), (2.4, 3.0))
    heard = detect_pauses(prepare(talk(*parts), RATE), Doubts(*parts))
    (pause,) = heard.pauses
    assert pause.start_s == pytest.approx(1.8, abs=0.03)
    assert heard.whole is not None
    assert heard.whole.start_s == pytest.approx(0.5 - LATE_S, abs=0.02)


def test_nobody_speaks() -> None:
    for pcm, vad in (
        (np.zeros(0, np.int16), Script((0.0, 9.0))),
        (np.zeros(RATE, np.int16), Script((0.0, 9.0))),
        (np.full(RATE, 12_000, np.int16), Script((0.0, 9.0))),
        (talk((0.5, 3.0)), Script()),
    ):
        heard = detect_pauses(prepare(pcm, RATE), vad)
        assert heard.whole is None
        assert heard.pauses == ()
        assert not heard.speech.any()


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_a_recording_of_any_rate_takes_the_same_form(rate: int) -> None:
    t = np.arange(2 * rate) / rate
    voice = 0.1 * np.sin(2 * np.pi * 200 * t) * (t > 1.0)
    prepared = prepare(from_float(voice + 0.2 + 0.05 * np.sin(2 * np.pi * 20 * t)), rate)
    assert len(prepared.samples) == pytest.approx(2 * RATE, abs=4)
    loud, soft = prepared.levels_db[120:180], prepared.levels_db[20:80]
    assert np.abs(loud + 20.0).max() < 0.5  # whatever its level was
    assert soft.max() < -50.0  # neither the constant nor the rumble are left
