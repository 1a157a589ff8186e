"""Splits a reply into sentences for HQ rendering and locates the fast tier's clauses in the result.

The fast tier speaks clauses, as soon as each is written; the HQ tier has the whole reply and speaks whole
sentences. Playback of the fast tier switches to the HQ tier at a clause boundary, so each boundary is mapped
to a position in the HQ rendering, at a pause if there is one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from kuaimei.audio.pcm import Pcm
from kuaimei.audio.silence import frame_levels, sound_bounds
from kuaimei.text.clauses import ClauseSegmenter, ClauseSizes, speech_length

__all__ = ["RenderedSentence", "Sentence", "boundaries", "clause_starts", "sentences"]

_BREATH: Final = ClauseSizes(sentence=12, pause=48, word_min=48, word_max=60, limit=64, quoted=48)
"""Sizes of a sentence: from twelve characters it stands alone, shorter ones join what follows; one without an
end is cut at a comma, or else at a word, where a reader would breathe."""
_PAUSES: Final = (("，、,；;：:—", 0.6), ("。！？!?…\n", 1.4))
"""Spoken length of punctuation marks, in characters."""
_FRAME_MS: Final = 5.0
_SMOOTH: Final = 8
"""Frames over which loudness is averaged: shorter gaps lie inside of syllables (stops)."""
_SEARCH_MS: Final = 350.0
_PENALTY_DB: Final = 0.02
"""Penalty for each millisecond between a pause and the expected start: 100 ms weigh as much as 2 dB."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a reply: its characters ``start`` up to ``end``."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RenderedSentence:
    """A sentence and its audio, which begins at sample ``at`` of the rendering."""

    sentence: Sentence
    pcm: Pcm
    at: int


def sentences(text: str) -> list[Sentence]:
    """Split ``text`` into the sentences to be synthesized; none if it contains nothing to speak."""
    cutter = ClauseSegmenter(first=_BREATH, following=_BREATH)
    found: list[Sentence] = []
    at = 0
    for piece in (*cutter.push(text), *cutter.flush()):
        start, at = at, at + len(piece)
        short = speech_length(piece) < _BREATH.sentence
        if found and short and speech_length(found[-1].text) < _BREATH.pause:
            start = found.pop().start
        if speech_length(piece):
            found.append(Sentence(text[start:at], start, at))
    return found


def clause_starts(text: str, clauses: Sequence[str]) -> list[int]:
    """Return the offset in characters of each of ``clauses`` in ``text``; the first is 0.

    If text follows the last of them (an interrupted reply was not spoken to its end), a further clause begins
    at the next sentence.
    """
    starts: list[int] = []
    at = 0
    for clause in clauses:
        words = clause.strip()
        found = text.find(words, at)
        if found < 0:  # an aside, or the displayed text was changed afterwards
            found = at
            starts.append(found)
            continue
        starts.append(found)
        at = found + len(words)
    rest = next((s.start for s in sentences(text) if s.start >= at), None)
    if not starts or (rest is not None and speech_length(text[at:])):
        starts.append(rest or 0)
    starts[0] = 0
    return starts


def boundaries(spoken: Sequence[RenderedSentence], starts: Sequence[int], rate: int) -> list[int]:
    """Return the sample of the rendering at which each clause begins, in nondecreasing order.

    Args:
        spoken: All the sentences, in order.
        starts: Offsets of the clauses in the reply, in characters, in order.
        rate: Sample rate in Hz.
    """
    places: list[int] = []
    for begin, here in _by_sentence(spoken, starts):
        if begin is None:
            places += [0] * len(here)
            continue
        inside = [start for start in here if start > begin.sentence.start]
        places += [begin.at] * (len(here) - len(inside))
        places += _inside(begin, inside, rate)
    return [int(place) for place in np.maximum.accumulate(places)] if places else []


def _by_sentence(
    spoken: Sequence[RenderedSentence], starts: Sequence[int]
) -> Iterator[tuple[RenderedSentence | None, list[int]]]:
    """Yield each sentence with the clauses that begin in it; (None, all clauses) if there is no sentence."""
    if not spoken:
        yield None, list(starts)
        return
    edges = [
        0,
        *(one.sentence.start for one in spoken[1:]),
        max(max(starts, default=0) + 1, spoken[-1].sentence.end),
    ]
    for one, (low, high) in zip(spoken, pairwise(edges), strict=True):
        yield one, [start for start in starts if low <= start < high]


def _inside(spoken: RenderedSentence, starts: Sequence[int], rate: int) -> list[int]:
    """Return the samples of clauses that begin inside a sentence: a pause near the expected position."""
    bounds = sound_bounds(spoken.pcm, rate)
    if bounds is None or not starts:
        return [spoken.at] * len(starts)
    text, base = spoken.sentence.text, spoken.sentence.start
    whole = _length(text.rstrip())
    first, last = bounds
    size = max(1, int(rate * _FRAME_MS / 1000.0))
    loud = np.convolve(frame_levels(spoken.pcm, rate), np.ones(_SMOOTH) / _SMOOTH, mode="same")
    reach = round(_SEARCH_MS / _FRAME_MS)
    wanted = [first + (last - first) * min(1.0, _length(text[: s - base]) / max(whole, 1e-6)) for s in starts]
    places: list[int] = []
    floor = first // size
    for place in wanted:
        middle = round(place / size)
        low, high = max(floor + 1, middle - reach), min(len(loud) - 1, last // size, middle + reach)
        if low > high:
            low = high = min(max(floor, low), len(loud) - 1)
        frames = np.arange(low, high + 1)
        cost = loud[low : high + 1] + _PENALTY_DB * np.abs(frames - middle) * _FRAME_MS
        floor = int(frames[int(np.argmin(cost))])
        places.append(spoken.at + min(floor * size + size // 2, len(spoken.pcm)))
    return places


def _length(text: str) -> float:
    return speech_length(text) + sum(weight for marks, weight in _PAUSES for char in text if char in marks)
