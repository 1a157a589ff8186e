"""Whether what was played is what was sent, as the browser's tests ask it."""

import numpy as np
import pytest

from bench.audio_capture import RATE, correlation
from kuaimei.audio.pcm import Pcm


def _speech(seed: int, seconds: float = 3.0) -> Pcm:
    """Something of a speech's spectrum, never the same twice."""
    noise = np.random.default_rng(seed).standard_normal(int(seconds * RATE))
    return (3000.0 * np.convolve(noise, np.hanning(48) / 24.0, "same")).astype(np.int16)


def _silence(seconds: float) -> Pcm:
    return np.zeros(int(seconds * RATE), np.int16)


@pytest.mark.parametrize("dry_at_s", [0.3, 0.8, 1.5])
def test_a_player_that_ran_dry_has_played_it_all_the_same(dry_at_s: float) -> None:
    sent, at = _speech(0), int(dry_at_s * RATE)
    heard = np.concatenate([_silence(4.0), sent[:at], _silence(0.7), sent[at:], _silence(1.0)])
    assert correlation(heard, sent) > 0.99


@pytest.mark.parametrize("heard", [_silence(0.0), _silence(0.1), _silence(9.0), _speech(1, 9.0)])
def test_silence_and_other_sound_are_not_what_was_sent(heard: Pcm) -> None:
    assert correlation(heard, _speech(0)) < 0.5


def test_half_of_it_is_not_all_of_it() -> None:
    sent = _speech(0)
    assert correlation(np.concatenate([sent[: int(1.2 * RATE)], _silence(4.0)]), sent) < 0.5
