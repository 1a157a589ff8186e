"""Detection of speech and pauses in a recording."""

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import ASR_RATE, from_float
from kuaimei.engines.prosody.preprocessing import Prepared
from kuaimei.engines.prosody.types import FRAME_MS, Span
from kuaimei.engines.protocols import VoiceActivityDetector

__all__ = ["SpeechActivity", "detect_pauses"]

_BEGINS: Final = 0.5
_ENDS: Final = 0.35
"""Probability below which speech in progress ends."""
_CLICK_S: Final = 0.1
_LATE_FRAMES: Final = 7
"""Delay with which Silero and WebRTC detect the onset of speech, 60 to 90 ms; the ends of pauses are as late
as their beginnings."""
_PAUSE_S: Final = 0.2
"""Shorter silences belong to stops and to articulation: 0.2 s separates them from pauses in read speech
of five languages (Campione and Véronis, "A large-scale multilingual study of silent pause duration", 2002);
Goldman-Eisler ("Psycholinguistics", 1968) used 0.25 s."""
_SOFT_DB: Final = 6.0
"""Minimum drop of a pause's level below speech: excludes vowels that the detector misses."""


@dataclass(frozen=True, slots=True)
class SpeechActivity:
    """Detected speech of a recording.

    Attributes:
        whole: From the first to the last sound of speech; None without speech.
        pauses: Pauses within it, in chronological order.
        speech: True for the frames of 10 ms that are speech, shape ``(n,)``.
    """

    whole: Span | None
    pauses: tuple[Span, ...]
    speech: NDArray[np.bool_]


def detect_pauses(prepared: Prepared, vad: VoiceActivityDetector) -> SpeechActivity:
    """Find speech and pauses; blocks for about 1 % of the length."""
    frames = len(prepared.levels_db)
    nobody = SpeechActivity(None, (), np.zeros(frames, bool))
    if prepared.empty:
        return nobody
    speech = _hysteresis(_likely(prepared, vad, frames))
    runs = [(a, b) for a, b in _runs(speech) if (b - a) * FRAME_MS >= 1000.0 * _CLICK_S]
    if not runs:
        return nobody
    power = 10.0 ** (prepared.levels_db / 10.0)
    inside = np.concatenate([power[a:b] for a, b in runs])
    loud = 10.0 * np.log10(inside.mean() + 1e-12)
    pauses: list[tuple[int, int]] = []
    for (_, end), (start, _) in itertools.pairwise(runs):
        long = (start - end) * FRAME_MS >= 1000.0 * _PAUSE_S
        if long and np.median(prepared.levels_db[end:start]) <= loud - _SOFT_DB:
            pauses.append((end, start))
    first, last = max(0, runs[0][0] - _LATE_FRAMES), runs[-1][1]
    spoken = np.zeros(frames, bool)
    spoken[first:last] = True
    for start, end in pauses:
        spoken[start:end] = False
    return SpeechActivity(_span(first, last), tuple(_span(a, b) for a, b in pauses), spoken)


def _likely(prepared: Prepared, vad: VoiceActivityDetector, frames: int) -> NDArray[np.float64]:
    """Return the probability of speech in every 10 ms."""
    size = vad.frame_samples
    count = -(-len(prepared.samples) // size)
    vad.reset()
    found = np.zeros(count)
    for at in range(count):
        piece = from_float(prepared.samples[at * size : (at + 1) * size])
        if len(piece) < size:
            piece = np.concatenate([piece, np.zeros(size - len(piece), np.int16)])
        found[at] = vad.probability(piece)
    middles = ((np.arange(frames) + 0.5) * FRAME_MS / 1000.0 * ASR_RATE / size).astype(np.int64)
    likely: NDArray[np.float64] = found[np.minimum(middles, count - 1)]
    return likely


def _hysteresis(likely: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return True from where ``likely`` reaches one threshold until it falls below the other."""
    sign = np.where(likely >= _BEGINS, 1, np.where(likely < _ENDS, -1, 0))
    decided = np.flatnonzero(sign)
    at = np.searchsorted(decided, np.arange(len(sign)), side="right") - 1
    if not len(decided):
        return np.zeros(len(sign), bool)
    held: NDArray[np.bool_] = (at >= 0) & (sign[decided[np.maximum(at, 0)]] > 0)
    return held


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    padded = np.concatenate([[False], mask, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _span(start: int, end: int) -> Span:
    return Span(start * FRAME_MS / 1000.0, end * FRAME_MS / 1000.0)
