"""Alignment of the reference's frames with its phonemes, by warping Kokoro's own rendering onto it.

Both say the same words, so that dynamic time warping (Sakoe & Chiba 1978) on cepstra finds where each phoneme
of the rendering, whose position is known, lies in the recording.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["align", "cepstra", "warp"]

_CEPSTRA: Final = 16
_LOUD: Final = 8.0
"""Frames more than this below the loudest (in log power: 35 dB) do not count for the mean of the cepstra."""
_LOUDNESS_WEIGHT: Final = 1.5


def cepstra(power: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return cepstra, their changes and the loudness, normalized against speaker and channel.

    Args:
        power: Power in mel bands, shape ``(bands, frames)``.

    Returns:
        Shape ``(frames, 31)``.
    """
    logs = np.log(np.maximum(power, 1e-8 * max(float(power.max()), 1e-12))).astype(np.float64)
    bands = len(logs)
    cosines = np.cos(np.pi / bands * np.outer(np.arange(_CEPSTRA), np.arange(bands) + 0.5))
    shape = cosines @ logs * np.sqrt(2.0 / bands)
    loudness, shape = shape[:1], shape[1:]
    level = logs.mean(0)
    loud = level > level.max() - _LOUD
    shape = (shape - shape[:, loud].mean(1, keepdims=True)) / (shape[:, loud].std(1, keepdims=True) + 1e-6)
    loudness = (loudness - loudness.max()) / (loudness.std() + 1e-6) * _LOUDNESS_WEIGHT
    change = np.gradient(shape, axis=1) * 2.0 if shape.shape[1] > 1 else np.zeros_like(shape)
    return np.concatenate([shape, loudness, change]).T


def warp(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the cheapest monotone path through the frames of ``a`` and ``b``, from start to end of both.

    Computed anti-diagonal by anti-diagonal, each vectorized in numpy.

    Args:
        a: Shape ``(n, d)``.
        b: Shape ``(m, d)``.

    Returns:
        Pairs of frames, shape ``(steps, 2)``.
    """
    n, m = len(a), len(b)
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T
    cost = np.sqrt(np.maximum(squares, 0.0))
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0.0
    for diagonal in range(2, n + m + 1):
        rows = np.arange(max(1, diagonal - m), min(n, diagonal - 1) + 1)
        columns = diagonal - rows
        aside = np.minimum(total[rows - 1, columns], total[rows, columns - 1])
        best = np.minimum(total[rows - 1, columns - 1], aside)
        total[rows, columns] = cost[rows - 1, columns - 1] + best
    i, j = n, m
    path = [(n - 1, m - 1)]
    while (i, j) != (1, 1):
        moves = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
        i, j = min(moves, key=lambda move: total[move])
        path.append((i - 1, j - 1))
    return np.array(path[::-1])


def align(
    durations: NDArray[np.int64],
    rendered: NDArray[np.float64],
    recorded: NDArray[np.float64],
    per_frame: int,
    frames: int,
) -> NDArray[np.int64]:
    """Return the number of frames of each symbol in the recording.

    Args:
        durations: Frames of each symbol in the rendering.
        rendered: `cepstra` of the rendering, ``per_frame`` to a frame.
        recorded: `cepstra` of the recording, at the same rate.
        per_frame: Cepstra per frame of the durations.
        frames: Frames in the recording.

    Returns:
        Durations, summing to ``frames``; some may be 0.
    """
    path = warp(rendered, recorded)
    edges = np.clip(np.concatenate([[0], np.cumsum(durations)]) * per_frame, 1, len(rendered) - 1)
    # An edge lies between where the path leaves the last frame before it and where it enters the next.
    leaves = path[np.searchsorted(path[:, 0], edges - 1, "right") - 1, 1]
    enters = path[np.searchsorted(path[:, 0], edges, "left"), 1]
    places = np.rint((leaves + enters + 1) / (2.0 * per_frame)).astype(np.int64)
    places[0], places[-1] = 0, frames
    return np.diff(np.minimum(np.maximum.accumulate(places), frames))
