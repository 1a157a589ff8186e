import mmap
import os

import numpy as np
import pytest

from bench.memory_figures import held, slope


def test_a_straight_line_has_its_slope_whatever_lies_beside_it() -> None:
    x = list(range(20))
    y = [3.0 + 0.5 * place for place in x]
    y[4] += 1000.0
    y[11] -= 1000.0
    found = slope(x, y)
    assert found.middle == pytest.approx(0.5)
    assert found.least <= 0.5 <= found.most


def test_the_interval_holds_the_slope_as_often_as_it_says() -> None:
    generator = np.random.default_rng(3)
    x = list(range(30))
    inside = 0
    for _ in range(200):
        found = slope(x, list(2.0 * np.array(x) + generator.normal(0.0, 5.0, len(x))))
        inside += found.least <= 2.0 <= found.most
    assert 180 <= inside <= 199


def test_what_this_process_holds_adds_up() -> None:
    before = held()
    # Of the system, not of malloc: that may have as much left from what was freed before.
    with mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
        after = held(os.getpid())
    assert 60 < after.anonymous - before.anonymous < 70
    assert after.rss == pytest.approx(after.anonymous + after.mapped, abs=0.2)
    assert 0 < after.pss <= after.rss
