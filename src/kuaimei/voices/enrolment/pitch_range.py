"""Pitch range of a voice."""

from kuaimei.audio.pcm import Pcm
from kuaimei.audio.pitch import summarise_pitch, track_pitch
from kuaimei.voices.types import Pitch

__all__ = ["estimate_pitch"]


def estimate_pitch(pcm: Pcm, rate: int) -> Pitch | None:
    """Estimate mean and range of F0 in ``pcm``; None if hardly any of it is voiced. Blocks."""
    found = summarise_pitch(track_pitch(pcm, rate))
    if found is None:
        return None
    return Pitch(
        mean_hz=round(found.mean_hz, 1),
        low_hz=round(found.low_hz, 1),
        high_hz=round(found.high_hz, 1),
        log_sd=round(found.log_sd, 3),
    )
