"""From speech probabilities to onset, pause and end of an utterance: counting, nothing else."""

from dataclasses import dataclass

__all__ = ["Endpointer"]

_HYSTERESIS = 0.15
"""Inside an utterance a frame counts as voiced from this much below the threshold."""


@dataclass(slots=True)
class Endpointer:
    """Counts voiced and silent time of one stream.

    Attributes:
        frame_ms: Length of a frame.
        threshold: Probability from which a frame is voiced.
        active: Inside an utterance.
        onset_ms: Voiced time gathered towards an onset; silence takes it away again.
        voiced_ms: Voiced time of this utterance.
        silence_ms: Silence since its last voiced frame.
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
        """Count one frame; True if it is voiced."""
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
        """An utterance begins with what led to its onset."""
        self.active = True
        self.voiced_ms = self.onset_ms

    def end(self) -> None:
        """The utterance is over."""
        self.active = False
        self.onset_ms = self.voiced_ms = self.run_ms = 0.0
