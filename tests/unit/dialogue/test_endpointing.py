import pytest

from kuaimei.dialogue.endpointing import Endpointer


def test_voice_gathers_and_silence_takes_away() -> None:
    ears = Endpointer(frame_ms=32, threshold=0.5)
    assert [ears.push(p) for p in (0.9, 0.9, 0.1, 0.9)] == [True, True, False, True]
    assert ears.onset_ms == 64
    assert ears.silence_ms == 0
    ears.push(0.1)
    ears.push(0.1)
    ears.push(0.1)
    assert ears.onset_ms == 0
    assert ears.silence_ms == 96


def test_inside_an_utterance_the_threshold_is_lower() -> None:
    ears = Endpointer(frame_ms=32, threshold=0.5)
    assert not ears.push(0.4)
    ears.push(0.9)
    ears.begin()
    assert ears.push(0.4)
    assert not ears.push(0.3)


def test_an_utterance_counts_what_led_to_it() -> None:
    ears = Endpointer(frame_ms=32, threshold=0.5)
    for _ in range(3):
        ears.push(0.9)
    ears.begin()
    ears.push(0.9)
    ears.push(0.1)
    ears.push(0.9)
    assert ears.voiced_ms == pytest.approx(160)
    assert ears.run_ms == 32
    ears.end()
    assert (ears.active, ears.onset_ms, ears.voiced_ms) == (False, 0, 0)
