"""Splits long recordings at their quietest places."""

from collections.abc import Iterator

import numpy as np

from kuaimei.audio.pcm import ASR_RATE, Pcm

__all__ = ["cut"]

_STEP = ASR_RATE // 50
_PAUSE_STEPS = 10
"""A cut falls in the middle of the quietest 200 ms, not on a single quiet frame inside a word."""


def cut(pcm: Pcm, longest_s: float) -> Iterator[tuple[int, Pcm]]:
    """Yield pieces of at most ``longest_s`` with the index of their first sample; together they are ``pcm``.

    The cut is searched for in the second half of the longest possible piece.
    """
    longest = int(longest_s * ASR_RATE)
    start = 0
    while len(pcm) - start > longest:
        first = start + longest // 2
        end = first + _quietest(pcm[first : start + longest])
        yield start, pcm[start:end]
        start = end
    yield start, pcm[start:]


def _quietest(pcm: Pcm) -> int:
    """Return the index of the sample in the middle of the quietest pause."""
    steps = len(pcm) // _STEP
    if steps <= _PAUSE_STEPS:
        return len(pcm)
    frames = pcm[: steps * _STEP].astype(np.float64).reshape(steps, _STEP)
    energy = np.convolve(np.mean(np.square(frames), axis=1), np.ones(_PAUSE_STEPS), mode="valid")
    return int((int(np.argmin(energy)) + _PAUSE_STEPS / 2) * _STEP)
