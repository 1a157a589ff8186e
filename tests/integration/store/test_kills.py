"""A short form of the measurement `bench.kills`: a whole life, killed ten times."""

import pytest

from bench import kills


@pytest.mark.timeout(900)
def test_ten_kills_lose_nothing_and_nothing_comes_back() -> None:
    result = kills.run(10, seed=7)
    assert result.wrong == []
    assert result.kills == 10
    assert (result.lost_s, result.returned, result.unsaved) == (0.0, 0, 0)
    assert result.received_s > 5.0
