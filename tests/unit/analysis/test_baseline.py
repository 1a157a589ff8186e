import pytest

from kuaimei.analysis.baseline import compare_to_baseline


def test_below_five_nothing_is_usual() -> None:
    assert compare_to_baseline(0.5, [0.1, 0.2, 0.3, 0.4]) is None
    assert compare_to_baseline(0.5, []) is None


def test_beside_the_usual() -> None:
    found = compare_to_baseline(0.6, [0.1, 0.2, 0.4, 0.8, 0.9])
    assert found is not None
    assert found.utterances == 5
    assert found.usual == pytest.approx(0.4)
    assert found.difference == pytest.approx(0.2)
    assert found.percentile == pytest.approx(60.0)


def test_an_even_number_has_its_median_between_two() -> None:
    found = compare_to_baseline(0.0, [0.2, 0.2, 0.4, 0.6, 0.8, 0.8])
    assert found is not None
    assert found.usual == pytest.approx(0.5)
    assert found.percentile == 0.0


def test_ties_count_by_half() -> None:
    found = compare_to_baseline(0.5, [0.5] * 8)
    assert found is not None
    assert found.percentile == 50.0
    found = compare_to_baseline(0.5, [0.1, 0.5, 0.5, 0.9, 0.9])
    assert found is not None
    assert found.percentile == pytest.approx(40.0)
