import pytest

from kuaimei.audio.loudness import signal_to_noise_db


def test_the_noise_under_speech_is_not_counted_as_speech() -> None:
    assert signal_to_noise_db(11.0, 1.0) == pytest.approx(10.0)
    assert signal_to_noise_db(2.0, 1.0) == pytest.approx(0.0)


def test_what_cannot_be_divided_has_an_end() -> None:
    assert signal_to_noise_db(1.0, 0.0) == 90.0
    assert -130.0 < signal_to_noise_db(1.0, 1.0) < -110.0
    assert -130.0 < signal_to_noise_db(0.5, 1.0) < -110.0
