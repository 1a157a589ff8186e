"""Ways of speaking, on a voice of which everything is known."""

import builtins
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm, from_float, to_float
from kuaimei.audio.pitch import track_pitch
from kuaimei.errors import SettingsError
from kuaimei.evaluation.speech_transforms import STEPS, add_pauses, add_tremor, open_praat, widen_intonation

RATE = 16_000


def voice(seconds: float = 2.0) -> Pcm:
    """Harmonics whose pitch glides slowly by some semitones, in four words with gaps."""
    at = np.arange(int(seconds * RATE)) / RATE
    f0 = 140.0 * 2.0 ** (3.0 * np.sin(2.0 * np.pi * 1.0 * at) / 12.0)
    phase = 2.0 * np.pi * np.cumsum(f0) / RATE
    sound = sum(np.sin(n * phase) / n for n in range(1, 12))
    words = np.clip(4.0 * np.abs(np.sin(2.0 * np.pi * at)) - 0.5, 0.02, 1.0)
    loudness = 10.0 ** (3.0 * np.sin(2.0 * np.pi * 0.7 * at) / 20.0)
    return from_float(0.2 * sound * words * loudness)


VOICE = voice()


def semitones(pcm: Pcm) -> NDArray[np.float64]:
    track = track_pitch(pcm, RATE)
    found: NDArray[np.float64] = 12.0 * np.log2(track[track > 0].astype(np.float64))
    return found


def middle_range(pcm: Pcm) -> float:
    low, high = np.percentile(semitones(pcm), (10, 90))
    return float(high - low)


def levels(pcm: Pcm) -> NDArray[np.float64]:
    size = RATE // 20
    frames = to_float(pcm)[: len(pcm) // size * size].reshape(-1, size).astype(np.float64)
    found: NDArray[np.float64] = 10.0 * np.log10(np.square(frames).mean(axis=1) + 1e-10)
    return found


def test_step_nought_changes_hardly_anything() -> None:
    for shape in (add_pauses, add_tremor, widen_intonation):
        same = shape(VOICE, RATE, 0)
        assert len(same) == pytest.approx(len(VOICE), rel=0.01)
        assert middle_range(same) == pytest.approx(middle_range(VOICE), abs=0.5)


def test_hesitating_is_slower_flatter_and_broken() -> None:
    made = [add_pauses(VOICE, RATE, step) for step in range(STEPS + 1)]
    lengths = [len(pcm) for pcm in made]
    assert lengths == sorted(set(lengths))
    ranges = [middle_range(pcm) for pcm in made]
    assert all(second < first for first, second in pairwise(ranges))
    silent = [int(np.count_nonzero(levels(pcm) < -80.0)) for pcm in made]
    assert silent == sorted(set(silent))


def test_trembling_vibrates_at_8_hz_and_keeps_pace_and_melody() -> None:
    still, shaking = add_tremor(VOICE, RATE, 0), add_tremor(VOICE, RATE, STEPS)
    assert len(shaking) == pytest.approx(len(still), rel=0.01)

    def at_8_hz(pcm: Pcm) -> float:
        contour = track_pitch(pcm, RATE).astype(np.float64)
        contour = 12.0 * np.log2(np.where(contour > 0, contour, 140.0))
        spectrum = np.abs(np.fft.rfft(contour - contour.mean()))
        hz = np.fft.rfftfreq(len(contour), 0.01)
        return float(spectrum[(hz > 7.0) & (hz < 9.0)].max() / len(contour))

    assert at_8_hz(shaking) > 5.0 * at_8_hz(still)


def test_lively_is_wider_and_louder_and_softer() -> None:
    made = [widen_intonation(VOICE, RATE, step) for step in range(STEPS + 1)]
    ranges = [middle_range(pcm) for pcm in made]
    assert all(second > first for first, second in pairwise(ranges))
    loud_over_usual = [float(np.ptp(np.percentile(levels(pcm), (50, 95)))) for pcm in made]
    assert loud_over_usual == sorted(set(loud_over_usual))
    assert loud_over_usual[-1] > 1.2 * loud_over_usual[0]
    assert all(np.count_nonzero(np.abs(pcm) >= 32767) == 0 for pcm in made)


@pytest.mark.parametrize("shape", [add_pauses, add_tremor, widen_intonation])
def test_the_same_clip_is_spoken_the_same_way_twice(shape: Callable[[Pcm, int, int], Pcm]) -> None:
    """With a breath in it: what has no voice is what would be put together anew each time."""
    breath = np.random.default_rng(0).normal(0, 300, RATE).astype(np.int16)
    clip = np.concatenate([VOICE, breath, VOICE])
    assert np.array_equal(shape(clip, RATE, 2), shape(clip, RATE, 2))


def test_sound_without_pitch_is_left_to_be() -> None:
    noise = np.random.default_rng(0).normal(0, 300, RATE).astype(np.int16)
    for shape in (add_pauses, add_tremor, widen_intonation):
        assert len(shape(noise, RATE, 2)) >= len(noise) * 0.9


def test_without_praat_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "parselmouth":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(SettingsError, match=r"kuaimei\[praat\]"):
        open_praat()
