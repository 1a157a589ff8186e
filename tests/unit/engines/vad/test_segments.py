from itertools import pairwise

import numpy as np
import pytest

from kuaimei.audio.pcm import ASR_RATE, EMPTY
from kuaimei.engines.vad.segments import SpeechSegment, cut, speech_segments
from tests.support.fakes import FakeVad, said, silence

FRAME = 512


def frames(*runs: tuple[float, float]) -> list[float]:
    """(seconds, probability) runs as frames of 32 ms."""
    return [p for seconds, p in runs for _ in range(round(seconds / 0.032))]


def seconds(pieces: list[SpeechSegment]) -> list[tuple[float, float]]:
    return [(round(p.start / ASR_RATE, 1), round(p.end / ASR_RATE, 1)) for p in pieces]


def test_silence_gives_nothing() -> None:
    assert cut(frames((5, 0.1)), FRAME, 5 * ASR_RATE) == []
    assert cut([], FRAME, 100) == []


def test_short_speech_is_one_piece_with_its_margins() -> None:
    found = cut(frames((1, 0.0), (1, 0.9), (1, 0.0), (1, 0.9), (1, 0.0)), FRAME, 5 * ASR_RATE)
    assert seconds(found) == [(0.8, 4.2)]


def test_pauses_end_pieces_that_are_long_enough() -> None:
    found = cut(frames((5, 0.9), (0.5, 0.0), (5, 0.9), (0.2, 0.0), (3, 0.9)), FRAME, round(13.7 * ASR_RATE))
    assert seconds(found) == [(0.0, 5.2), (5.3, 13.7)]


def test_speech_without_a_pause_is_cut_where_it_is_least_likely() -> None:
    found = cut(frames((9, 0.9), (0.032, 0.6), (20, 0.9)), FRAME, 29 * ASR_RATE)
    assert found[0].end == pytest.approx(9 * ASR_RATE, abs=2 * FRAME)
    assert all(p.end - p.start <= 12.1 * ASR_RATE for p in found)
    for before, after in pairwise(found):
        assert before.end == after.start  # nothing is lost and nothing heard twice


async def test_everything_said_is_in_a_piece() -> None:
    parts = [part for n in range(1, 9) for part in (said("一二三" * n), silence(120 * n))]
    pcm = np.concatenate(parts)
    found = await speech_segments(pcm, FakeVad())
    covered = np.zeros(len(pcm), bool)
    for piece in found:
        assert not covered[piece.start : piece.end].any()
        covered[piece.start : piece.end] = True
    assert covered[: len(pcm) - FRAME][pcm[: len(pcm) - FRAME] > 0].all()
    assert await speech_segments(EMPTY, FakeVad()) == []
