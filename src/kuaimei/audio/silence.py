"""Silence: detection, trimming at both ends, fades, and generation."""

import numpy as np

from kuaimei.audio.pcm import EMPTY, Pcm, to_float

__all__ = ["StreamTrimmer", "fade_edges", "frame_levels", "silence", "sound_bounds", "trim_silence"]

_FRAME_MS = 5


def silence(duration_ms: float, rate: int) -> Pcm:
    """Return ``duration_ms`` of digital silence at ``rate`` Hz."""
    return np.zeros(max(0, round(duration_ms * rate / 1000.0)), dtype=np.int16)


def frame_levels(pcm: Pcm, rate: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return the RMS of each 5 ms frame in dBFS (digital silence: -120), shape ``(ceil(n / frame),)``."""
    size = max(1, rate * _FRAME_MS // 1000)
    samples = to_float(pcm)
    padded = np.zeros(-(-len(samples) // size) * size, np.float32)
    padded[: len(samples)] = samples
    power = np.mean(padded.reshape(-1, size) ** 2, axis=1)
    levels: np.ndarray[tuple[int], np.dtype[np.float32]] = 10.0 * np.log10(np.maximum(power, 1e-12))
    return levels


def sound_bounds(pcm: Pcm, rate: int, *, threshold_db: float = -42.0) -> tuple[int, int] | None:
    """Find the audible part of ``pcm``.

    Args:
        pcm: Mono samples.
        rate: Sample rate in Hz.
        threshold_db: Frames this far below the loudest one, and everything under -65 dBFS, are silence.

    Returns:
        Index of the first audible sample and one past the last; None if nothing is audible.
    """
    if not len(pcm):
        return None
    levels = frame_levels(pcm, rate)
    loud = np.flatnonzero(levels > max(float(levels.max()) + threshold_db, -65.0))
    if not len(loud):
        return None
    size = max(1, rate * _FRAME_MS // 1000)
    return int(loud[0]) * size, min(len(pcm), (int(loud[-1]) + 1) * size)


def trim_silence(
    pcm: Pcm,
    rate: int,
    *,
    keep_start_ms: float = 30.0,
    keep_end_ms: float = 60.0,
    threshold_db: float = -42.0,
) -> Pcm:
    """Remove the silence at both ends of ``pcm`` and fade the cuts to avoid clicks.

    Args:
        pcm: Mono samples.
        rate: Sample rate in Hz.
        keep_start_ms: Kept before the first sound: soft onsets (f, s, h) lie under the threshold.
        keep_end_ms: Kept after the last sound, for its decay.
        threshold_db: See `sound_bounds`.

    Returns:
        The trimmed samples; empty if nothing is audible.
    """
    bounds = sound_bounds(pcm, rate, threshold_db=threshold_db)
    if bounds is None:
        return EMPTY
    start = max(0, bounds[0] - int(keep_start_ms * rate / 1000.0))
    end = min(len(pcm), bounds[1] + int(keep_end_ms * rate / 1000.0))
    return fade_edges(pcm[start:end], rate)


def fade_edges(pcm: Pcm, rate: int, *, start_ms: float = 5.0, end_ms: float = 15.0) -> Pcm:
    """Fade ``pcm`` in from zero and out to zero (raised cosine), so that it can be concatenated.

    Args:
        pcm: Mono samples.
        rate: Sample rate in Hz.
        start_ms: Length of the fade-in, at most half of ``pcm``.
        end_ms: Length of the fade-out, at most half of ``pcm``.
    """
    faded = pcm.astype(np.float32)
    rise = _ramp(min(len(pcm) // 2, int(start_ms * rate / 1000.0)))
    fall = _ramp(min(len(pcm) // 2, int(end_ms * rate / 1000.0)))[::-1]
    faded[: len(rise)] *= rise
    faded[len(faded) - len(fall) :] *= fall
    joined: Pcm = np.rint(faded).astype(np.int16)
    return joined


def _ramp(samples: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    if not samples:
        return np.ones(0, np.float32)
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(samples) / samples)).astype(np.float32)


class StreamTrimmer:
    """Incremental `trim_silence`; silence in the middle is passed on.

    Args:
        rate: Sample rate in Hz.
        keep_start_ms: Kept before the first sound.
        keep_end_ms: Kept after the last sound.
        threshold_dbfs: Frames below this are silence; absolute, because the peak is not known in advance.
    """

    def __init__(
        self,
        rate: int,
        *,
        keep_start_ms: float = 30.0,
        keep_end_ms: float = 60.0,
        threshold_dbfs: float = -50.0,
    ) -> None:
        self._rate = rate
        self._keep_start = int(keep_start_ms * rate / 1000.0)
        self._keep_end = int(keep_end_ms * rate / 1000.0)
        self._threshold = threshold_dbfs
        self._begun = False
        self._held = EMPTY

    def push(self, pcm: Pcm) -> Pcm:
        """Return the audio known to belong to the result; silence is buffered until sound follows it."""
        if not len(pcm):
            return EMPTY
        self._held = np.concatenate([self._held, pcm])
        loud = np.flatnonzero(frame_levels(self._held, self._rate) > self._threshold)
        if not len(loud):
            if not self._begun:
                self._held = self._held[max(0, len(self._held) - self._keep_start) :]
            return EMPTY
        size = max(1, self._rate * _FRAME_MS // 1000)
        start = 0 if self._begun else max(0, int(loud[0]) * size - self._keep_start)
        end = min(len(self._held), (int(loud[-1]) + 1) * size)
        sound, self._held = self._held[start:end], self._held[end:]
        if not self._begun:
            self._begun = True
            return fade_edges(sound, self._rate, end_ms=0.0)
        return sound

    def flush(self) -> Pcm:
        """Return the decay of the last sound (empty if there was none) and reset the trimmer."""
        rest = fade_edges(self._held[: self._keep_end], self._rate, start_ms=0.0) if self._begun else EMPTY
        self._begun, self._held = False, EMPTY
        return rest
