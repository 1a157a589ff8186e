"""Detection of speech and pauses in a recording."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import ASR_RATE, Pcm, to_float
from kuaimei.audio.resample import resample
from kuaimei.engines.protocols import VoiceActivityDetector

__all__ = ["HOP_S", "RATE", "SpeechRegions", "SpeechSpan", "find_speech"]

RATE: Final = 24_000
"""Sample rate of references in Hz: the synthesizer's own, and all that training can use."""
HOP_S: Final = 0.01
_ONSET_THRESHOLD: Final = 0.5
_OFFSET_THRESHOLD: Final = 0.35
"""Probability below which speech that has begun ends."""
_GAP_S: Final = 0.15
"""Shorter silences lie within a word."""
_MIN_SPEECH_S: Final = 0.1
_MARGIN_S: Final = 0.15
"""Margin around speech that counts neither as speech nor as pause: soft onsets and reverberation."""


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """Span of a recording, in seconds."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Length of the span in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class SpeechRegions:
    """Recording with its speech spans and levels.

    Attributes:
        pcm: Int16 samples at `RATE`.
        spans: Spans with speech, in order.
        levels: dBFS (RMS) of each `HOP_S`, shape ``(n,)``; −120 for digital silence.
    """

    pcm: Pcm
    spans: tuple[SpeechSpan, ...]
    levels: NDArray[np.float32] = field(repr=False)

    @property
    def duration_s(self) -> float:
        """Seconds of the whole recording."""
        return len(self.pcm) / RATE

    @property
    def speech_s(self) -> float:
        """Seconds of speech."""
        return sum(span.length_s for span in self.spans)

    def cut(self, span: SpeechSpan) -> Pcm:
        """Return the samples of ``span``."""
        return self.pcm[int(span.start_s * RATE) : int(span.end_s * RATE)]

    def spoken(self) -> NDArray[np.bool_]:
        """Return a mask of the hops of `levels` that lie in speech."""
        return self._within(0.0)

    def paused(self, margin_s: float = _MARGIN_S) -> NDArray[np.bool_]:
        """Return a mask of the hops that lie in pauses, at least ``margin_s`` from all speech."""
        return ~self._within(margin_s)

    def _within(self, margin_s: float) -> NDArray[np.bool_]:
        mask = np.zeros(len(self.levels), bool)
        for span in self.spans:
            start, end = round((span.start_s - margin_s) / HOP_S), round((span.end_s + margin_s) / HOP_S)
            mask[max(0, start) : max(0, end)] = True
        return mask


def find_speech(pcm: Pcm, vad: VoiceActivityDetector) -> SpeechRegions:
    """Detect speech in ``pcm`` (at `RATE`); blocks for some 0.5 % of its length."""
    low = resample(pcm, RATE, ASR_RATE)
    size = vad.frame_samples
    vad.reset()
    padded = np.concatenate([low, np.zeros(-len(low) % size, np.int16)])
    likely = [vad.probability(padded[at : at + size]) for at in range(0, len(padded), size)]
    spans = _spans(likely, size / ASR_RATE, len(pcm) / RATE)
    return SpeechRegions(pcm, spans, _levels(pcm))


def _spans(likely: list[float], frame_s: float, whole_s: float) -> tuple[SpeechSpan, ...]:
    found: list[SpeechSpan] = []
    start: int | None = None
    for at, probability in enumerate([*likely, 0.0]):
        if start is None and probability >= _ONSET_THRESHOLD:
            start = at
        elif start is not None and probability < _OFFSET_THRESHOLD:
            span = SpeechSpan(start * frame_s, min(at * frame_s, whole_s))
            if found and span.start_s - found[-1].end_s < _GAP_S:
                found[-1] = SpeechSpan(found[-1].start_s, span.end_s)
            else:
                found.append(span)
            start = None
    return tuple(span for span in found if span.length_s >= _MIN_SPEECH_S)


def _levels(pcm: Pcm) -> NDArray[np.float32]:
    hop = round(RATE * HOP_S)
    samples = to_float(pcm[: len(pcm) - len(pcm) % hop]).reshape(-1, hop)
    power = np.mean(samples**2, axis=1)
    levels: NDArray[np.float32] = (10.0 * np.log10(np.maximum(power, 1e-12))).astype(np.float32)
    return levels
