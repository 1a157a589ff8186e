import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.engines.prosody.intonation import Melody, describe


def contour(semitones: NDArray[np.float64], base_hz: float = 200.0) -> NDArray[np.float32]:
    return (base_hz * 2.0 ** (semitones / 12.0)).astype(np.float32)


T = np.arange(300) / 100.0


def tones(depth_st: float = 3.0) -> NDArray[np.float64]:
    """Five syllables a second, their tones smooth."""
    return depth_st * np.sin(2 * np.pi * 2.5 * T) + 0.3 * depth_st * np.sin(2 * np.pi * 5.0 * T)


def test_a_sine_has_its_mean_deviation_and_range() -> None:
    found = describe(contour(2.0 * np.sin(2 * np.pi * T)))
    assert found.mean_hz == pytest.approx(200.0, rel=0.01)
    assert found.sd_st == pytest.approx(2.0 / np.sqrt(2), rel=0.02)
    assert found.range_st == pytest.approx(2 * 2.0 * np.sin(np.pi / 2 * 0.9), rel=0.03)
    assert found.change_st_s == pytest.approx(4 * 2.0, rel=0.03)  # four times its depth in a second


def test_a_deep_and_a_high_voice_that_move_alike_are_alike() -> None:
    deep, high = describe(contour(tones(), 90.0)), describe(contour(tones(), 280.0))
    assert deep.sd_st == pytest.approx(high.sd_st, rel=1e-3)
    assert deep.change_st_s == pytest.approx(high.change_st_s, rel=1e-3)
    assert deep.tremor_st == pytest.approx(high.tremor_st, rel=1e-2)


def test_an_octave_error_changes_little() -> None:
    right = contour(tones(2.0))
    wrong = right.copy()
    wrong[150:156] *= 4.0
    wrong[80:84] /= 2.0
    clean, found = describe(right), describe(wrong)
    assert found.mean_hz == pytest.approx(clean.mean_hz, rel=0.02)
    assert found.range_st == pytest.approx(clean.range_st, rel=0.05)
    assert found.change_st_s == pytest.approx(clean.change_st_s, rel=0.05)
    assert found.tremor_st == pytest.approx(clean.tremor_st, rel=0.1)


@pytest.mark.parametrize("fall_st", [-6.0, -2.0, 0.0, 4.0])
def test_the_end_falls_or_rises(fall_st: float) -> None:
    values = np.zeros(300)
    values[250:] = np.linspace(0, fall_st, 50)
    f0_hz = contour(values)
    f0_hz[270:273] = 0.0
    assert describe(f0_hz).final_st == pytest.approx(fall_st, abs=0.15)


def test_a_creak_at_the_end_is_no_fall() -> None:
    values = np.zeros(300)
    values[-12:] = -12.0
    assert describe(contour(values)).final_st == pytest.approx(0.0, abs=0.1)


def test_trembling_is_measured_and_tones_are_not() -> None:
    flat, lively, trembling = (
        describe(contour(values)).tremor_st
        for values in (np.zeros(300), tones(), 0.5 * np.sin(2 * np.pi * 8.0 * T))
    )
    assert flat == pytest.approx(0.0, abs=1e-6)
    assert trembling == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert lively is not None
    assert trembling is not None
    assert lively < 0.6 * trembling  # of tones that move nearly twenty times as far


def test_more_trembling_is_more_under_lively_tones_too() -> None:
    found = [
        describe(contour(tones() + depth * np.sin(2 * np.pi * 8.0 * T))).tremor_st or 0.0
        for depth in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert found == sorted(found)
    assert found[-1] > 2.0 * found[0]


def test_short_stretches_do_not_tremble_and_hardly_any_voice_has_no_melody() -> None:
    broken = contour(tones())
    broken[::20] = 0.0
    assert describe(broken).tremor_st is None
    assert describe(broken).change_st_s is not None
    assert describe(np.zeros(0, np.float32)) == Melody()
    assert describe(np.zeros(300, np.float32)) == Melody()
    assert describe(np.full(9, 200.0, np.float32)) == Melody()
