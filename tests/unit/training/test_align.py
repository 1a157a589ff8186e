import numpy as np
from numpy.typing import NDArray

from kuaimei.training.align import align, cepstra, warp


def phonemes(durations: list[int]) -> NDArray[np.float64]:
    """A sequence in which each phoneme is a point of its own, two observations to a frame."""
    places = np.random.default_rng(3).standard_normal((len(durations), 12)) * 5
    return np.repeat(places, np.array(durations) * 2, 0)


def test_a_warp_goes_from_end_to_end_without_going_back() -> None:
    a, b = phonemes([3, 4, 5]), phonemes([6, 2, 4])
    path = warp(a, b)
    assert path[0].tolist() == [0, 0]
    assert path[-1].tolist() == [len(a) - 1, len(b) - 1]
    steps = np.diff(path, axis=0)
    assert set(map(tuple, steps.tolist())) <= {(0, 1), (1, 0), (1, 1)}
    assert np.linalg.norm(a[path[:, 0]] - b[path[:, 1]], axis=1).max() == 0.0


def test_durations_of_the_recording_are_found() -> None:
    rendered, recorded = [3, 5, 2, 8, 4], [6, 3, 4, 5, 7]
    found = align(np.array(rendered), phonemes(rendered), phonemes(recorded), 2, sum(recorded))
    assert found.sum() == sum(recorded)
    assert found.tolist() == recorded


def test_a_frame_more_or_less_in_the_recording_is_no_matter() -> None:
    durations = np.array([3, 5, 2])
    found = align(durations, phonemes([3, 5, 2]), phonemes([3, 5, 2])[:-1], 2, 9)
    assert found.sum() == 9
    assert (found >= 0).all()


def test_cepstra_do_not_know_level_or_channel() -> None:
    random = np.random.default_rng(1)
    power = np.exp(random.standard_normal((60, 200))).astype(np.float32)
    channel = np.exp(random.standard_normal((60, 1))).astype(np.float32)
    plain, coloured = cepstra(power), cepstra(power * channel * 1e-3)
    assert plain.shape == (200, 31)
    np.testing.assert_allclose(plain[:, :15], coloured[:, :15], atol=0.2)
