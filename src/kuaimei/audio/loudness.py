"""Loudness of speech: measurement, and normalization to one common level."""

import numpy as np

from kuaimei.audio.pcm import Pcm, from_float, to_float
from kuaimei.audio.silence import frame_levels

__all__ = ["SPEECH_DBFS", "normalize_loudness", "signal_to_noise_db", "speech_level"]

SPEECH_DBFS = -20.0
"""Target level of `normalize_loudness`: RMS of the voiced part; about -20 LUFS for a speaking voice."""

_BEST_SNR_DB = 90.0
"""Dynamic range of 16-bit audio."""


def signal_to_noise_db(spoken: float, noise: float) -> float:
    """Return the signal-to-noise ratio 10 log₁₀((S − N) / N) in dB, at most 90.

    Args:
        spoken: S, mean power during speech, noise included.
        noise: N, mean power between speech.
    """
    floor = max(noise, 1e-12)
    return min(float(10.0 * np.log10(max(spoken - floor, 1e-12) / floor)), _BEST_SNR_DB)


def speech_level(pcm: Pcm, rate: int) -> float | None:
    """Return the RMS in dBFS of the frames within 20 dB of the loudest (speech); None if silent.

    Gated like ITU-R BS.1770, whose 400 ms blocks are too long for a clause of four characters.
    """
    if not len(pcm):
        return None
    levels = frame_levels(pcm, rate)
    peak = float(levels.max())
    if peak < -65.0:
        return None
    power = 10.0 ** (levels[levels > peak - 20.0] / 10.0)
    return float(10.0 * np.log10(power.mean()))


def normalize_loudness(
    pcm: Pcm,
    rate: int,
    *,
    target_dbfs: float = SPEECH_DBFS,
    max_gain_db: float = 12.0,
    ceiling_dbfs: float = -1.0,
) -> Pcm:
    """Return ``pcm`` amplified or attenuated so that its speech is at ``target_dbfs``.

    Args:
        pcm: Mono samples.
        rate: Sample rate in Hz.
        target_dbfs: RMS of the voiced part of the result.
        max_gain_db: Limit of the gain in either direction.
        ceiling_dbfs: Limit of the peak, so that nothing is clipped; takes precedence over the target.
    """
    now = speech_level(pcm, rate)
    if now is None:
        return pcm
    samples = to_float(pcm)
    gain_db = float(np.clip(target_dbfs - now, -max_gain_db, max_gain_db))
    peak_db = 20.0 * float(np.log10(np.abs(samples).max()))
    return from_float(samples * np.float32(10.0 ** (min(gain_db, ceiling_dbfs - peak_db) / 20.0)))
