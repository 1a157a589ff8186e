"""Check of reverberation: the decay of sound after speech ends."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.voices.enrolment.checks.messages import make_check, unmeasured
from kuaimei.voices.enrolment.speech_regions import HOP_S, SpeechRegions
from kuaimei.voices.types import Check, Verdict

__all__ = ["check_reverberation", "rt60_s"]

_WARN_RT_S: Final = 0.6
_FAIL_RT_S: Final = 1.2
_WINDOW_S: Final = 1.0
_SHORTEST_S: Final = 0.08
_RANGE_DB: Final = 12.0
"""Minimum fall of a decay for its slope to be reliable."""
_ABOVE_FLOOR_DB: Final = 5.0
_OFFSET_DB: Final = 3.0
_LINEAR: Final = 0.9
_LEAST: Final = 1


def check_reverberation(speech: SpeechRegions) -> Check:
    """Check the seconds in which sound would fall by 60 dB after speech ends."""
    seconds = rt60_s(speech)
    if seconds is None:
        return unmeasured("reverberation")
    verdict: Verdict = "refused" if seconds >= _FAIL_RT_S else "warning" if seconds >= _WARN_RT_S else "ok"
    return make_check("reverberation", verdict, seconds, "s")


def rt60_s(speech: SpeechRegions) -> float | None:
    """Estimate the reverberation time (60 dB) from the free decays after speech; None if there is none.

    After the last loud sound before a pause the level is followed down to just above the background;
    the slope of a line through it gives the time for 60 dB, as in ISO 3382. A voice itself decays in
    some 0.2 s, and a room can only prolong that: so the fastest quarter of the decays is closest to the
    room (blind estimation after Ratnam et al. 2003).
    """
    levels = speech.levels.astype(np.float64)
    floor = float(np.percentile(levels, 5.0))
    paused = speech.paused(0.0)
    floor = float(np.percentile(levels[paused], 20.0)) if paused.sum() * HOP_S > 0.2 else floor
    found = []
    for at, span in enumerate(speech.spans):
        last = at + 1 == len(speech.spans)
        until = speech.duration_s if last else speech.spans[at + 1].start_s
        if (seconds := _slope(levels, span.end_s, until, floor)) is not None:
            found.append(seconds)
    return float(np.percentile(found, 25.0)) if len(found) >= _LEAST else None


def _slope(levels: NDArray[np.float64], end_s: float, until_s: float, floor: float) -> float | None:
    # The end of speech by VAD may lie in the tail: the decay begins at the last loud moment before.
    begin = max(0, round((end_s - 0.5) / HOP_S))
    end = min(len(levels), round(min(until_s, end_s + _WINDOW_S) / HOP_S))
    part = levels[begin:end]
    if len(part) * HOP_S < _SHORTEST_S:
        return None
    loud = np.flatnonzero(part > part.max() - _OFFSET_DB)[-1]
    tail = part[loud:]
    low = np.flatnonzero(tail <= floor + _ABOVE_FLOOR_DB)
    tail = tail[: low[0]] if len(low) else tail
    if len(tail) * HOP_S < _SHORTEST_S or tail[0] - tail.min() < _RANGE_DB:
        return None
    tail = tail[: int(np.argmin(tail)) + 1]
    time = np.arange(len(tail)) * HOP_S
    slope, _ = np.polyfit(time, tail, 1)
    straight = abs(float(np.corrcoef(time, tail)[0, 1]))
    return -60.0 / float(slope) if slope < 0 and straight >= _LINEAR else None
