"""Split of a reference: one half to fit a voice to, the other, held out, to evaluate it."""

from typing import Final

import numpy as np

from kuaimei.audio.pcm import Pcm
from kuaimei.audio.silence import frame_levels, sound_bounds
from kuaimei.errors import AudioError

__all__ = ["LEAST_HALF_S", "split_in_halves"]

LEAST_HALF_S: Final = 1.2
"""Minimum seconds of a half; shorter speech says nothing about a speaker: GE2E's own window is 1.6 s."""

_FRAME_S: Final = 0.005
_PAUSE_DB: Final = -30.0
"""Threshold of a pause below the level of speech (95th percentile)."""
_LEAST_PAUSE_S: Final = 0.06
_NEAR_MIDDLE: Final = 0.3
"""Maximum distance of the cut from the centre of the speech, as a share of its length."""


def split_in_halves(pcm: Pcm, rate: int) -> tuple[Pcm, Pcm, float]:
    """Cut ``pcm`` in the longest pause near its middle, else where it is quietest there.

    Of pauses of similar length the one nearest to the middle is used.

    Returns:
        First half, second half, and position of the cut in seconds.

    Raises:
        AudioError: If a half would be too short to say anything about the speaker.
    """
    bounds = sound_bounds(pcm, rate)
    if bounds is None:
        raise AudioError("the reference is silent")
    start, end = bounds
    if (end - start) / rate < 2 * LEAST_HALF_S:
        raise AudioError(
            f"the reference contains {(end - start) / rate:.1f} s of sound: "
            f"at least {2 * LEAST_HALF_S:g} s are needed for two halves"
        )
    levels = frame_levels(pcm, rate)
    size = max(1, int(rate * _FRAME_S))
    frames = np.arange(len(levels))
    middle = (start + end) / 2.0 / size
    reach = min(_NEAR_MIDDLE * (end - start), (end - start) / 2.0 - LEAST_HALF_S * rate) / size
    near = np.abs(frames - middle) <= reach
    quiet = near & (levels < np.percentile(levels, 95) + _PAUSE_DB)
    best, cut = -1.0, -1
    for first, last in _runs(quiet):
        length_s = (last - first) * _FRAME_S
        if length_s < _LEAST_PAUSE_S:
            continue
        centre = (first + last) // 2
        score = length_s * (1.0 - 0.5 * abs(centre - middle) / max(reach, 1.0))
        if score > best:
            best, cut = score, centre
    if cut < 0:
        smooth = np.convolve(levels, np.ones(10) / 10.0, mode="same")
        cut = int(np.argmin(np.where(near, smooth, np.inf)))
    at = cut * size
    return pcm[:at], pcm[at:], at / rate


def _runs(mask: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> list[tuple[int, int]]:
    """Return start and end (exclusive) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
