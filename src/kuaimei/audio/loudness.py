"""One steady loudness for everything that is spoken."""

import numpy as np

from kuaimei.audio.pcm import Pcm, from_float, to_float
from kuaimei.audio.silence import frame_levels

__all__ = ["SPEECH_DBFS", "rms_dbfs", "signal_to_noise_db", "speech_level"]

SPEECH_DBFS = -20.0
"""RMS of the voiced part of speech that `rms_dbfs` aims at; about -20 LUFS for a speaking voice."""

_BEST_SNR_DB = 90.0
"""What 16 bits can hold."""


def signal_to_noise_db(spoken: float, noise: float) -> float:
    """10 log₁₀((S − N) / N), at most 90.

    Args:
        spoken: S, mean power while somebody speaks, noise and all.
        noise: N, power while nobody does.
    """
    floor = max(noise, 1e-12)
    return min(float(10.0 * np.log10(max(spoken - floor, 1e-12) / floor)), _BEST_SNR_DB)


def speech_level(pcm: Pcm, rate: int) -> float | None:
    """RMS in dBFS over the frames that hold speech: those within 20 dB of the loudest; None if silent.

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


def rms_dbfs(
    pcm: Pcm,
    rate: int,
    *,
    target_dbfs: float = SPEECH_DBFS,
    max_gain_db: float = 12.0,
    ceiling_dbfs: float = -1.0,
) -> Pcm:
    """``pcm`` with its speech at ``target_dbfs``.

    Args:
        pcm: Mono samples.
        rate: In Hz.
        target_dbfs: RMS of its voiced part afterwards.
        max_gain_db: Never louder or softer by more than this.
        ceiling_dbfs: No peak goes beyond this, be the speech too soft for it: nothing is clipped.
    """
    now = speech_level(pcm, rate)
    if now is None:
        return pcm
    samples = to_float(pcm)
    gain_db = float(np.clip(target_dbfs - now, -max_gain_db, max_gain_db))
    peak_db = 20.0 * float(np.log10(np.abs(samples).max()))
    return from_float(samples * np.float32(10.0 ** (min(gain_db, ceiling_dbfs - peak_db) / 20.0)))
