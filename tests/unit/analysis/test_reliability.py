import numpy as np
import pytest

from kuaimei.analysis.reliability import (
    CONDITIONS,
    FeatureFigures,
    concordance,
    icc,
    quantiles,
    shipped_figures,
)

# The example of Shrout and Fleiss (1979): six targets, four judges; ICC(2,1) = 0.29.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], np.float64
)


def test_icc_of_the_paper() -> None:
    assert icc(SHROUT_FLEISS) == pytest.approx(0.29, abs=0.005)
    # Jitter in seconds squared, or level in millibel: the unit makes no difference.
    assert icc(SHROUT_FLEISS * 1e-9 + 1.0) == pytest.approx(0.29, abs=0.005)


def test_what_shifts_in_all_clips_alike_is_not_reliable() -> None:
    values = np.linspace(1.0, 2.0, 8)
    alike = icc(np.stack([values, values + 0.001 * np.sin(np.arange(8))], axis=1))
    shifted = icc(np.stack([values, values + 1.0], axis=1))
    assert alike is not None
    assert shifted is not None
    assert alike > 0.99
    assert shifted < 0.5


def test_the_same_everywhere_is_perfect() -> None:
    values = np.linspace(1.0, 2.0, 8)
    assert icc(np.stack([values] * 3, axis=1)) == 1.0


def test_clips_in_which_it_could_not_be_told_are_left_out() -> None:
    whole = np.concatenate([SHROUT_FLEISS, [[np.nan, 1, 1, 1]]])
    assert icc(whole) == icc(SHROUT_FLEISS)


def test_of_too_little_nothing_is_said() -> None:
    assert icc(SHROUT_FLEISS[:4]) is None
    assert icc(np.full((8, 2), 3.0)) is None
    assert icc(np.zeros((0, 2))) is None


def test_concordance_is_lower_than_correlation_where_something_shifts() -> None:
    a = np.arange(10.0)
    assert concordance(a, a) == pytest.approx(1.0)
    # Var 8.25 each, covariance 8.25, means 3 apart: 16.5 / (16.5 + 9).
    assert concordance(a, a + 3.0) == pytest.approx(16.5 / 25.5)
    assert concordance(a, -a) == pytest.approx(-16.5 / (16.5 + 81.0))
    assert concordance(a[:4], a[:4]) is None
    assert concordance(np.ones(8), np.ones(8)) is None


def test_quantiles() -> None:
    assert quantiles([float(one) for one in range(101)]) == (5.0, 25.0, 50.0, 75.0, 95.0)
    assert quantiles([]) == ()


def figures(gain: float | None, rate: float | None, noise: float | None) -> FeatureFigures:
    return FeatureFigures(icc={"gain": gain, "rate": rate, "noise": noise}, quantiles=(), clips=9)


def test_the_gate() -> None:
    assert figures(0.9, 0.9, 0.75).reliable
    assert not figures(0.89, 1.0, 1.0).reliable
    assert not figures(1.0, 0.89, 1.0).reliable
    assert not figures(1.0, 1.0, 0.74).reliable
    assert not figures(1.0, 1.0, None).reliable  # what cannot be told is no reliability


def test_what_is_shipped_is_of_every_feature_and_condition() -> None:
    found = shipped_figures()
    assert found.clips >= 24
    assert all(set(one.icc) == set(CONDITIONS) for one in found.features.values())
    assert "snr_db" not in found.reliable()  # noise is what it measures
