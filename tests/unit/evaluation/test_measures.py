import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.audio.pcm import EMPTY, Pcm
from kuaimei.audio.pitch import PitchSummary
from kuaimei.errors import AudioError
from kuaimei.evaluation.pitch import compare_pitch, semitones
from kuaimei.evaluation.similarity import cosine, embed_all, likeness
from kuaimei.evaluation.split_reference import LEAST_HALF_S, split_in_halves
from kuaimei.store.statistics import wilson

RATE = 16_000


def vector(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def talk(seconds: float, level: float = 0.2, seed: int = 0) -> Pcm:
    noise = np.random.default_rng(seed).normal(0, level * 32767 / 3, int(seconds * RATE))
    return np.clip(noise, -32768, 32767).astype(np.int16)


def hush(seconds: float) -> Pcm:
    return np.zeros(int(seconds * RATE), np.int16)


# Similarity.


def test_cosine() -> None:
    assert cosine(vector(1, 0), vector(2, 0)) == pytest.approx(1.0)
    assert cosine(vector(1, 0), vector(0, 3)) == pytest.approx(0.0)
    assert cosine(vector(1, 0), vector(-1, 0)) == pytest.approx(-1.0)
    assert cosine(vector(0, 0), vector(1, 0)) == 0.0


def test_likeness_lies_between_floor_and_ceiling() -> None:
    unseen, seen = vector(1, 0), vector(0.9, np.sqrt(1 - 0.81))
    spoken = np.stack([vector(0.8, 0.6), vector(0.6, 0.8)])
    stock = np.stack([vector(0.2, np.sqrt(0.96))] * 3)
    found = likeness(spoken, unseen, seen, stock=stock)
    assert found.mean == pytest.approx(0.7)
    assert found.least == pytest.approx(0.6)
    assert found.ceiling == pytest.approx(0.9)
    assert found.floor == pytest.approx(0.2)
    assert found.reached == pytest.approx(0.5 / 0.7)


def test_without_a_floor_nothing_is_said_of_the_way() -> None:
    found = likeness(vector(1, 0)[np.newaxis], vector(1, 0), vector(1, 0))
    assert found.floor is None
    assert found.reached is None
    above = likeness(vector(1, 0)[np.newaxis], vector(1, 0), vector(0, 1), stock=vector(1, 0)[np.newaxis])
    assert above.reached is None


def test_every_clip_is_embedded_at_its_rate() -> None:
    class Length:
        name = "length"

        def embed(self, pcm: Pcm, rate: int) -> NDArray[np.float32]:
            return vector(len(pcm) / rate, 0)

    found = embed_all(Length(), [hush(1), hush(2)], RATE)
    assert found.tolist() == [[1, 0], [2, 0]]


# Pitch.


def summary(mean: float, low: float, high: float, sd: float) -> PitchSummary:
    return PitchSummary(mean, low, high, sd, 3.0)


def test_pitch_is_compared_in_semitones() -> None:
    assert semitones(440.0, 220.0) == pytest.approx(12.0)
    difference = compare_pitch(summary(220, 110, 440, 0.3), summary(110, 110, 220, 0.2))
    assert difference.mean_semitones == pytest.approx(12.0)
    assert difference.range_semitones == pytest.approx(12.0)
    assert difference.liveliness == pytest.approx(1.5)


def test_a_monotone_reference_breaks_nothing() -> None:
    assert np.isfinite(compare_pitch(summary(220, 110, 440, 0.3), summary(110, 110, 110, 0.0)).liveliness)


# Halves.


def test_the_cut_is_in_the_pause_near_the_middle() -> None:
    clip = np.concatenate([talk(1.0), hush(0.4), talk(2.0), hush(0.3), talk(2.6)])
    first, second, at = split_in_halves(clip, RATE)
    assert at == pytest.approx(3.55, abs=0.03)  # 0.4 s lie too far from the middle
    assert len(first) + len(second) == len(clip)
    assert (np.concatenate([first, second]) == clip).all()


def test_of_two_pauses_the_longer_one() -> None:
    clip = np.concatenate([talk(2.0), hush(0.1), talk(0.5), hush(0.5), talk(2.0)])
    assert split_in_halves(clip, RATE)[2] == pytest.approx(2.85, abs=0.05)


def test_without_a_pause_the_quietest_moment() -> None:
    clip = np.concatenate([talk(2.0), talk(0.15, 0.05), talk(2.0)])
    assert split_in_halves(clip, RATE)[2] == pytest.approx(2.07, abs=0.1)


def test_silence_around_the_speech_is_not_cut_in() -> None:
    clip = np.concatenate([hush(6.0), talk(2.0), hush(0.2), talk(2.0)])
    assert split_in_halves(clip, RATE)[2] == pytest.approx(8.1, abs=0.05)


def test_too_little_for_two_halves() -> None:
    with pytest.raises(AudioError, match=r"2\.0 s of sound: at least 2\.4 s"):
        split_in_halves(talk(2 * LEAST_HALF_S - 0.4), RATE)
    for nothing in (hush(5.0), EMPTY):
        with pytest.raises(AudioError, match="silent"):
            split_in_halves(nothing, RATE)


# Preference.


def test_wilson_intervals_as_in_the_books() -> None:
    assert wilson(0, 0) is None
    low, high = wilson(8, 10) or (0, 0)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_a_share_cannot_exceed_one() -> None:
    with pytest.raises(ValueError, match="11 of 10"):
        wilson(11, 10)
