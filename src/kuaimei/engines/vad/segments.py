"""Splits long recordings into speech segments, so that no recognition step holds the cores for long."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.engines.protocols import VoiceActivityDetector

__all__ = ["SpeechSegment", "cut", "speech_segments"]

_SPEECH = 0.5
_PAUSE_MS = 300.0
"""Silence at which a segment may end."""
_MARGIN_MS = 200.0
"""Silence kept on both sides: the first and last sounds of speech are the faintest."""
_TARGET_MS = 4_000.0
"""A segment of at least this length ends at its next pause."""
_LONGEST_MS = 12_000.0
"""A segment of this length without a pause is cut where speech is least likely."""
_BLOCK = 20 * ASR_RATE
"""Samples processed at once, off the event loop."""


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """Samples ``start`` to ``end`` of a recording at 16 kHz."""

    start: int
    end: int


async def speech_segments(pcm: Pcm, vad: VoiceActivityDetector) -> list[SpeechSegment]:
    """Return the segments of speech in ``pcm`` (16 kHz), about 4 to 12 s each; empty without speech.

    A recording that fits into one segment is not cut.
    """
    size = vad.frame_samples
    probabilities: list[float] = []
    step = _BLOCK - _BLOCK % size
    for start in range(0, len(pcm) - size + 1, step):
        block = pcm[start : start + step]
        probabilities += await asyncio.to_thread(_speech_probabilities, block, vad)
    return cut(probabilities, size, len(pcm))


def _speech_probabilities(block: Pcm, vad: VoiceActivityDetector) -> list[float]:
    size = vad.frame_samples
    return [vad.probability(block[i : i + size]) for i in range(0, len(block) - size + 1, size)]


def cut(probabilities: Sequence[float], frame: int, samples: int) -> list[SpeechSegment]:
    """Return the speech segments of a recording, from the probability of speech in each of its frames.

    Args:
        probabilities: One for each whole frame.
        frame: Samples of a frame at 16 kHz.
        samples: Length of the recording in samples.
    """
    frame_ms = frame * 1000.0 / ASR_RATE
    pause = max(1, round(_PAUSE_MS / frame_ms))
    longest = round(_LONGEST_MS / frame_ms)
    spans: list[tuple[int, int]] = []  # frames, end not included
    start: int | None = None
    last = 0
    for i, probability in enumerate(probabilities):
        if probability >= _SPEECH:
            start = i if start is None else start
            last = i
        if start is None:
            continue
        if i - last >= pause and last + 1 - start >= round(_TARGET_MS / frame_ms):
            spans.append((start, last + 1))
            start = None
        elif i + 1 - start >= longest:
            begin = start + longest // 2
            at = min(range(begin, i + 1), key=lambda k: probabilities[k])
            spans.append((start, at + 1))
            start = at + 1 if last > at else None
    if start is not None:
        spans.append((start, last + 1))
    return _with_margins(spans, frame, samples)


def _with_margins(spans: list[tuple[int, int]], frame: int, samples: int) -> list[SpeechSegment]:
    margin = int(_MARGIN_MS * ASR_RATE / 1000.0)
    pieces: list[SpeechSegment] = []
    for i, (start, end) in enumerate(spans):
        before = spans[i - 1][1] * frame if i else 0
        after = spans[i + 1][0] * frame if i + 1 < len(spans) else samples
        # Two neighbours share the silence between them.
        begin = max(start * frame - margin, (before + start * frame) // 2 if i else 0)
        finish = min(end * frame + margin, (end * frame + after) // 2 if i + 1 < len(spans) else samples)
        pieces.append(SpeechSegment(max(0, begin), min(samples, finish)))
    return pieces
