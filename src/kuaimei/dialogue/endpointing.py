"""Endpointing: counts voiced and silent time for the onset, pauses and end of an utterance."""

from dataclasses import dataclass

__all__ = ["Endpointer"]

_HYSTERESIS = 0.15
"""Inside an utterance a frame counts as voiced from this much below the threshold."""


@dataclass(slots=True)
class Endpointer:
    """Counters of the voiced and silent time of one stream.

    Attributes:
        frame_ms: Length of a frame.
        threshold: Minimum speech probability of a voiced frame.
        active: True inside an utterance.
        onset_ms: Voiced time accumulated towards an onset; silence reduces it again.
        voiced_ms: Voiced time of this utterance.
        silence_ms: Silence since the last voiced frame.
        run_ms: Length of the latest uninterrupted voiced run.
    """

    frame_ms: float
    threshold: float
    active: bool = False
    onset_ms: float = 0.0
    voiced_ms: float = 0.0
    silence_ms: float = 0.0
    run_ms: float = 0.0

    def push(self, probability: float) -> bool:
        """Count one frame with this speech probability; return True if it is voiced."""
        floor = self.threshold - _HYSTERESIS if self.active else self.threshold
        voiced = probability >= floor
        if voiced:
            self.onset_ms += self.frame_ms
            self.run_ms += self.frame_ms
            self.silence_ms = 0.0
        else:
            self.onset_ms = max(0.0, self.onset_ms - self.frame_ms)
            self.run_ms = 0.0
            self.silence_ms += self.frame_ms
        if self.active and voiced:
            self.voiced_ms += self.frame_ms
        return voiced

    def begin(self) -> None:
        """Begin an utterance; the voiced time of its onset counts towards it."""
        self.active = True
        self.voiced_ms = self.onset_ms

    def end(self) -> None:
        """End the utterance."""
        self.active = False
        self.onset_ms = self.voiced_ms = self.run_ms = 0.0
