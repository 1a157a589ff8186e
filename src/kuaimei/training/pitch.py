"""Pitch of recorded speech, by autocorrelation.

Boersma 1993, "Accurate short-term analysis of the fundamental frequency": of each frame's peaks in the
autocorrelation, divided by that of the window, the path that is strongest and jumps least.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOWEST_HZ", "log_statistics", "track_pitch"]

LOWEST_HZ: Final = 65.0
_HIGHEST_HZ: Final = 520.0
_WINDOW_S: Final = 3.0 / LOWEST_HZ
_CANDIDATES: Final = 6
_SILENCE: Final = 0.03
_VOICING: Final = 0.45
_OCTAVE: Final = 0.01
_JUMP: Final = 0.35
_CHANGE: Final = 0.14
_TRIM: Final = 0.02
"""Share of the sorted values cut off at either end for statistics: trackers err by octaves."""


def track_pitch(samples: NDArray[np.float32], rate: int, hop_s: float) -> NDArray[np.float32]:
    """Return Hz for each ``hop_s`` of ``samples`` (frames centred at half a hop), 0 where unvoiced.

    Args:
        samples: Shape ``(n,)``, mono.
        rate: Sample rate in Hz.
        hop_s: Seconds from frame to frame.

    Returns:
        Shape ``(floor(n / (rate * hop_s)),)``.
    """
    width, hop = int(_WINDOW_S * rate), rate * hop_s
    count = int(len(samples) / hop)
    if not count:
        return np.zeros(0, np.float32)
    padded = np.pad(samples.astype(np.float64), width)
    begins = (np.arange(count) * hop + hop / 2 + width / 2).astype(int)
    frames = padded[begins[:, None] + np.arange(width)]
    frames = frames - frames.mean(1, keepdims=True)
    loudness = np.abs(frames).max(1) / max(float(np.abs(samples).max()), 1e-9)
    window = np.hanning(width + 2)[1:-1]
    size = 1 << (2 * width - 1).bit_length()
    power = np.abs(np.fft.rfft(frames * window, size)) ** 2
    correlation = np.fft.irfft(power)[:, : width // 2]
    ideal = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)[: width // 2]
    correlation = correlation / np.maximum(correlation[:, :1], 1e-12) / (ideal / ideal[0])
    hertz, strength = _peaks(correlation, rate)
    # The candidate "unvoiced" comes first and is the stronger, the quieter the frame.
    silent = _VOICING + np.maximum(0.0, 2.0 - loudness / _SILENCE * (1.0 + _VOICING))
    hertz = np.concatenate([np.zeros((count, 1)), hertz], 1)
    strength = np.concatenate([silent[:, None], strength], 1)
    return _path(hertz, strength, 0.01 / hop_s)


def log_statistics(pitch: NDArray[np.float32]) -> tuple[float, float] | None:
    """Return mean and standard deviation of ln F0 over the voiced frames; None with fewer than two."""
    voiced = np.sort(np.log(pitch[pitch > 0]))
    cut = int(len(voiced) * _TRIM)
    voiced = voiced[cut : len(voiced) - cut]
    return (float(voiced.mean()), float(voiced.std())) if len(voiced) > 1 else None


def _peaks(correlation: NDArray[np.float64], rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Hz and strength of each frame's best peaks, ``(frames, _CANDIDATES)``; −inf where fewer."""
    first, last = int(rate / _HIGHEST_HZ), min(int(rate / LOWEST_HZ) + 1, correlation.shape[1] - 2)
    here = correlation[:, first : last + 1]
    before, after = correlation[:, first - 1 : last], correlation[:, first + 1 : last + 2]
    bend = before - 2.0 * here + after
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = np.where(bend < 0, 0.5 * (before - after) / bend, 0.0)
    height = np.minimum(here - 0.25 * (before - after) * offset, 1.0)
    hertz = rate / (np.arange(first, last + 1) + np.clip(offset, -0.5, 0.5))
    is_peak = (here > before) & (here >= after) & (here > 0.5 * _VOICING)
    strength = np.where(is_peak, height + _OCTAVE * np.log2(hertz / LOWEST_HZ), -np.inf)
    best = np.argsort(-strength, axis=1)[:, :_CANDIDATES]
    return np.take_along_axis(hertz, best, 1), np.take_along_axis(strength, best, 1)


def _path(hertz: NDArray[np.float64], strength: NDArray[np.float64], per_hop: float) -> NDArray[np.float32]:
    """Find the best path (Viterbi); costs of change are stated for hops of 10 ms."""
    voiced = hertz > 0
    logs = np.log2(np.where(voiced, hertz, 1.0))
    score = strength[0]
    came = np.zeros(hertz.shape, int)
    for at in range(1, len(hertz)):
        cost = _JUMP * np.abs(logs[at - 1][:, None] - logs[at][None])
        both = voiced[at - 1][:, None] & voiced[at][None]
        one = voiced[at - 1][:, None] ^ voiced[at][None]
        total = score[:, None] - per_hop * np.where(both, cost, np.where(one, _CHANGE, 0.0))
        came[at] = total.argmax(0)
        score = total.max(0) + strength[at]
    path = np.zeros(len(hertz), int)
    path[-1] = int(score.argmax())
    for at in range(len(hertz) - 1, 0, -1):
        path[at - 1] = came[at][path[at]]
    return np.take_along_axis(hertz, path[:, None], 1)[:, 0].astype(np.float32)
