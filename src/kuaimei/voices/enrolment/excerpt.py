"""Selection of the best excerpt of a recording: 4 to 15 seconds, cut at pauses."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from kuaimei.audio.loudness import normalize_loudness
from kuaimei.audio.pcm import Pcm
from kuaimei.audio.silence import fade_edges
from kuaimei.voices.enrolment.speech_regions import HOP_S, RATE, SpeechRegions, SpeechSpan

__all__ = ["LONGEST_S", "SHORTEST_S", "best_excerpt", "held_out", "normalize_level"]

SHORTEST_S: Final = 4.0
LONGEST_S: Final = 15.0
_MARGIN_S: Final = 0.12
"""Silence kept at both ends."""
_CLEAN_DB: Final = 30.0
"""Signal-to-noise ratio above which a higher one does not count."""
_EDGE_S: Final = 0.05
_PAUSE_NOISE_PERCENTILE: Final = 25.0
"""Percentile of the levels in a pause taken as its noise: breathing in for half of it does not count."""
_HELD_OUT_S: Final = 2.5
_MOST_GAIN_DB: Final = 30.0


def best_excerpt(speech: SpeechRegions) -> SpeechSpan:
    """Return the span with the most and the cleanest speech; all of it, if the recording is short.

    Raises:
        ValueError: If there is no speech.
    """
    spans = _short_enough(speech, speech.spans)
    if not spans:
        raise ValueError("the recording contains no speech")
    return max(_candidate_spans(speech, spans, LONGEST_S), key=lambda stretch: _score(speech, stretch))


def held_out(speech: SpeechRegions, taken: SpeechSpan, longest_s: float = 10.0) -> SpeechSpan | None:
    """Return the best span outside ``taken``, for evaluating the voice; None if it has too little speech.

    Args:
        speech: The whole recording.
        taken: Span that the voice is made from.
        longest_s: Maximum seconds of the span.
    """
    outside = [s for s in speech.spans if s.end_s <= taken.start_s or s.start_s >= taken.end_s]
    found: list[SpeechSpan] = []
    for side in (
        [s for s in outside if s.end_s <= taken.start_s],
        [s for s in outside if s.start_s >= taken.end_s],
    ):
        if side := _short_enough(speech, side):
            found += _candidate_spans(speech, side, longest_s)
    best = max(found, key=lambda stretch: _score(speech, stretch), default=None)
    return best if best is not None and _spoken_s(speech, best) >= _HELD_OUT_S else None


def normalize_level(speech: SpeechRegions, part: SpeechSpan) -> Pcm:
    """Return the samples of ``part`` at the server's loudness, faded in and out."""
    return normalize_loudness(fade_edges(speech.cut(part), RATE), RATE, max_gain_db=_MOST_GAIN_DB)


def _candidate_spans(
    speech: SpeechRegions, spans: Sequence[SpeechSpan], longest_s: float
) -> list[SpeechSpan]:
    """Return the spans from each start up to the limit, padded with adjacent silence."""
    found: list[SpeechSpan] = []
    for first in range(len(spans)):
        before = spans[first - 1].end_s if first else 0.0
        for last in range(first, len(spans)):
            if spans[last].end_s - spans[first].start_s > longest_s - 2 * _MARGIN_S and last > first:
                break
            after = spans[last + 1].start_s if last + 1 < len(spans) else speech.duration_s
            start, end = spans[first].start_s, spans[last].end_s
            found.append(
                SpeechSpan(
                    max(start - _MARGIN_S, (before + start) / 2 if first else 0.0),
                    min(end + _MARGIN_S, (end + after) / 2 if last + 1 < len(spans) else after),
                )
            )
    return found


def _score(speech: SpeechRegions, stretch: SpeechSpan) -> float:
    """Return the seconds of speech, weighted by density and signal-to-noise ratio."""
    spoken_s = _spoken_s(speech, stretch)
    levels = speech.levels[int(stretch.start_s / HOP_S) : int(stretch.end_s / HOP_S)]
    if not len(levels):
        return 0.0
    # The noisiest pause counts: a span may reach from a quiet part into a noisy one.
    noise_db = max(_pauses_db(speech, stretch), default=float(np.percentile(levels, 5.0)))
    clean = np.clip((float(np.percentile(levels, 90.0)) - noise_db) / _CLEAN_DB, 0.0, 1.0)
    short_s = max(0.0, SHORTEST_S - stretch.length_s)
    # Square root: in a short recording a long pause is no reason to give up what is said before it.
    dense = np.sqrt(spoken_s / stretch.length_s)
    return float(spoken_s * dense * clean) - 2.0 * short_s


def _pauses_db(speech: SpeechRegions, stretch: SpeechSpan) -> list[float]:
    """Return the noise level of each whole pause that ``stretch`` touches, breathing excluded."""
    ends = [0.0, *(span.end_s + _EDGE_S for span in speech.spans)]
    starts = [*(span.start_s - _EDGE_S for span in speech.spans), speech.duration_s]
    found: list[float] = []
    for start_s, end_s in zip(ends, starts, strict=True):
        if start_s < stretch.end_s and end_s > stretch.start_s:
            levels = speech.levels[round(start_s / HOP_S) : round(end_s / HOP_S)]
            if len(levels):
                found.append(float(np.percentile(levels, _PAUSE_NOISE_PERCENTILE)))
    return found


def _spoken_s(speech: SpeechRegions, stretch: SpeechSpan) -> float:
    overlaps = (min(span.end_s, stretch.end_s) - max(span.start_s, stretch.start_s) for span in speech.spans)
    return sum(length for length in overlaps if length > 0)


def _short_enough(speech: SpeechRegions, spans: Sequence[SpeechSpan]) -> list[SpeechSpan]:
    """Return ``spans``; those that are too long without a pause are cut where they are quietest."""
    found: list[SpeechSpan] = []
    for whole in spans:
        rest = whole
        while rest.length_s > LONGEST_S - 2 * _MARGIN_S:
            first = int((rest.start_s + LONGEST_S / 2) / HOP_S)
            last = int((rest.start_s + LONGEST_S - 2 * _MARGIN_S) / HOP_S)
            cut_s = (first + int(np.argmin(speech.levels[first:last]))) * HOP_S
            found.append(SpeechSpan(rest.start_s, cut_s))
            rest = SpeechSpan(cut_s, rest.end_s)
        found.append(rest)
    return found
