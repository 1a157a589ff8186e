"""Degradations: the same speech at another level or in noise, which should not change measurements."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm, from_float, to_float

__all__ = ["HEADROOM_DB", "add_noise", "amplify", "speech_power"]

HEADROOM_DB: Final = 13.0
"""Distance of peaks below full scale before amplifying: 12 dB more must not clip, a condition of its own."""
_FRAME_S: Final = 0.02
_ACTIVE_DB: Final = 25.0
"""Frames this far below the loudest are not speech."""


def amplify(pcm: Pcm, gain_db: float) -> Pcm:
    """Return ``pcm`` with its peak at −13 dB of full scale, then amplified by ``gain_db``."""
    samples = to_float(pcm)
    peak = float(np.abs(samples).max(initial=0.0))
    if peak == 0.0:
        return pcm
    return from_float(samples * np.float32(10.0 ** ((gain_db - HEADROOM_DB) / 20.0) / peak))


def add_noise(pcm: Pcm, rate: int, snr_db: float, seed: int) -> Pcm:
    """Return ``pcm`` with pink noise (equal power per octave, like room noise) ``snr_db`` below its speech.

    Args:
        pcm: Int16 samples at ``rate`` Hz.
        rate: Sample rate in Hz.
        snr_db: Power of the frames with speech over that of the noise.
        seed: Seed of the noise.
    """
    samples = to_float(pcm).astype(np.float64)
    noise = _pink(len(samples), rate, seed)
    wanted = speech_power(samples, rate) * 10.0 ** (-snr_db / 10.0)
    power = float(np.mean(np.square(noise))) if len(noise) else 0.0
    mixed = samples + noise * np.sqrt(wanted / power) if power else samples
    peak = float(np.abs(mixed).max(initial=0.0))
    return from_float(mixed / max(peak / 0.99, 1.0))


def speech_power(samples: NDArray[np.floating], rate: int) -> float:
    """Return the mean power of the frames within 25 dB of the loudest; full scale is 1."""
    size = max(1, int(_FRAME_S * rate))
    count = len(samples) // size
    if not count:
        return float(np.mean(np.square(samples))) if len(samples) else 0.0
    powers = np.square(samples[: count * size].reshape(count, size)).mean(axis=1)
    active = powers >= powers.max() * 10.0 ** (-_ACTIVE_DB / 10.0)
    return float(powers[active].mean())


def _pink(count: int, rate: int, seed: int) -> NDArray[np.float64]:
    white = np.random.default_rng(seed).normal(size=count)
    hz = np.fft.rfftfreq(count, 1.0 / rate) if count else np.zeros(0)
    shaped = np.fft.rfft(white) / np.sqrt(np.maximum(hz, 50.0)) if count else hz
    pink: NDArray[np.float64] = np.fft.irfft(shaped, count) if count else np.zeros(0)
    return pink
