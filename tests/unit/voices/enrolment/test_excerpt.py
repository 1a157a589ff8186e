import numpy as np
import pytest

from kuaimei.audio.loudness import SPEECH_DBFS, speech_level
from kuaimei.voices.enrolment.excerpt import LONGEST_S, best_excerpt, held_out, normalize_level
from kuaimei.voices.enrolment.speech_regions import RATE, SpeechSpan
from tests.support.signals import hiss, listened, spoken


def test_all_of_a_short_recording_without_its_silence() -> None:
    speech = listened(hiss(spoken(3.5, pause_s=2.0), 45))
    part = best_excerpt(speech)
    assert part.start_s == pytest.approx(1.9, abs=0.15)
    assert part.end_s == pytest.approx(5.6, abs=0.15)
    assert held_out(speech, part) is None


def test_of_a_long_one_the_part_with_the_most_speech_cut_at_pauses() -> None:
    sparse, dense = spoken(1.0, 1.0, 1.0, pause_s=3.0), spoken(4.0, 4.0, 4.0, pause_s=0.4)
    speech = listened(hiss(np.concatenate([sparse, dense, sparse]), 45))
    part = best_excerpt(speech)
    first = len(sparse) / RATE
    assert part.start_s == pytest.approx(first + 0.3, abs=0.2)
    assert part.end_s == pytest.approx(first + len(dense) / RATE - 0.3, abs=0.2)
    assert 12 < part.length_s <= LONGEST_S


def test_the_clean_part_rather_than_the_noisy_one() -> None:
    noisy, clean = hiss(spoken(4.0, 4.0), 8), hiss(spoken(4.0, 4.0), 50)
    speech = listened(np.concatenate([noisy, clean]), above=2000.0)
    assert best_excerpt(speech).start_s > len(noisy) / RATE


def test_who_breathes_in_aloud_is_not_taken_for_noise() -> None:
    """A breath just before the first words, louder than the noise that would spoil them."""
    signal = hiss(np.concatenate([np.zeros(RATE), spoken(1.2, 5.0, pause_s=0.25)]), 50)
    breath = slice(int(0.9 * RATE), int(1.23 * RATE))
    signal[breath] += np.random.default_rng(5).normal(0.0, 0.03, breath.stop - breath.start)
    part = best_excerpt(listened(signal, above=1500.0))
    assert part.start_s == pytest.approx(1.15, abs=0.1)


def test_a_long_pause_is_no_reason_to_give_up_what_was_said_before_it() -> None:
    signal = hiss(np.concatenate([spoken(0.7, pause_s=0.6), spoken(4.6, pause_s=0.6)]), 50)
    part = best_excerpt(listened(signal))
    assert part.start_s < 0.7


def test_without_pauses_it_is_cut_where_it_is_quietest() -> None:
    signal = spoken(40.0)
    dip = int(13.0 * RATE)
    signal[dip : dip + RATE // 20] *= 0.01
    speech = listened(signal)
    assert len(speech.spans) == 1
    part = best_excerpt(speech)
    assert 4 < part.length_s <= LONGEST_S


def test_held_out_is_never_learned_from() -> None:
    speech = listened(hiss(spoken(4.0, 5.0, 4.0, 4.0, 3.5), 45))
    part = best_excerpt(speech)
    other = held_out(speech, part)
    assert other is not None
    assert other.end_s <= part.start_s + 0.01 or other.start_s >= part.end_s - 0.01
    assert other.length_s <= 10


def test_nobody_speaks() -> None:
    with pytest.raises(ValueError, match="no speech"):
        best_excerpt(listened(np.zeros(RATE)))


def test_it_is_as_loud_as_everything_in_the_server_and_begins_and_ends_in_silence() -> None:
    speech = listened(hiss(spoken(4.0, peak=0.03), 45), above=50.0)
    pcm = normalize_level(speech, SpeechSpan(0.0, speech.duration_s))
    assert speech_level(pcm, RATE) == pytest.approx(SPEECH_DBFS, abs=1.0)
    assert abs(int(pcm[0])) < 50
    assert abs(int(pcm[-1])) < 50
