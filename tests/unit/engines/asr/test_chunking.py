import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.asr.chunking import cut


def _noise(seconds: float, amplitude: float) -> Pcm:
    return np.random.default_rng(0).normal(0, amplitude, int(seconds * 16_000)).astype(np.int16)


def test_short_audio_is_one_piece() -> None:
    pcm = _noise(5, 1000)
    [(start, piece)] = cut(pcm, 28)
    assert start == 0
    assert piece is not None
    assert len(piece) == len(pcm)


def test_nothing_is_one_empty_piece() -> None:
    [(start, piece)] = cut(np.zeros(0, np.int16), 28)
    assert (start, len(piece)) == (0, 0)


@pytest.mark.parametrize("longest_s", [3.0, 12.0, 28.0])
def test_pieces_together_are_the_whole(longest_s: float) -> None:
    pcm = _noise(61.3, 1000)
    pieces = list(cut(pcm, longest_s))
    assert all(0 < len(piece) <= longest_s * 16_000 for _, piece in pieces)
    assert [start for start, _ in pieces] == list(np.cumsum([0] + [len(p) for _, p in pieces[:-1]]))
    np.testing.assert_array_equal(np.concatenate([piece for _, piece in pieces]), pcm)


def test_the_cut_falls_into_the_pause() -> None:
    pcm = np.concatenate([_noise(8, 3000), _noise(0.4, 5), _noise(6, 3000)])
    (_, first), _ = cut(pcm, 10)
    assert 8.0 <= len(first) / 16_000 <= 8.4


def test_a_click_of_silence_is_no_pause() -> None:
    pcm = np.concatenate(
        [_noise(6, 3000), _noise(0.02, 0), _noise(2, 3000), _noise(0.3, 100), _noise(5, 3000)]
    )
    (_, first), _ = cut(pcm, 10)
    assert 8.02 <= len(first) / 16_000 <= 8.33
