"""Comparison of the pitch of a rendering with that of the reference."""

import math
from dataclasses import dataclass

from kuaimei.audio.pitch import PitchSummary

__all__ = ["PitchDifference", "compare_pitch", "semitones"]


@dataclass(frozen=True, slots=True)
class PitchDifference:
    """Pitch of a rendering relative to its reference.

    Attributes:
        mean_semitones: Mean F0 of the rendering above (below, if negative) that of the reference.
        range_semitones: Its range from the 5th to the 95th percentile, wider (narrower) than the
            reference's.
        liveliness: Its spread of log F0 over that of the reference: 1 is as lively, less is flatter.
    """

    mean_semitones: float
    range_semitones: float
    liveliness: float


def semitones(hz: float, reference_hz: float) -> float:
    """Return the distance between two pitches: 12 log2 of their ratio (equal temperament)."""
    return 12.0 * math.log2(hz / reference_hz)


def compare_pitch(spoken: PitchSummary, reference: PitchSummary) -> PitchDifference:
    """Compare the pitch of ``spoken`` with that of ``reference``.

    The spread is on a logarithmic scale, as melody is heard ('t Hart, Collier and Cohen, "A perceptual
    study of intonation", 1990): a deep and a high voice that are equally lively have the same one.
    """
    wide = semitones(spoken.high_hz, spoken.low_hz)
    return PitchDifference(
        mean_semitones=semitones(spoken.mean_hz, reference.mean_hz),
        range_semitones=wide - semitones(reference.high_hz, reference.low_hz),
        liveliness=spoken.log_sd / max(reference.log_sd, 1e-6),
    )
