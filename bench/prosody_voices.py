"""Synthetic voices with known F0, jitter, shimmer and noise, built from single pulses."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["DAMPED", "NOISELESS_DB", "RATE", "RINGING", "Truth", "make_voice"]

RATE: Final = 16_000
NOISELESS_DB: Final = 80.0
_FINE: Final = 4
"""Pulses are drawn at this multiple of the rate, so that they lie between samples."""
_FORMANTS: Final = ((650.0, 90.0), (1150.0, 110.0), (2500.0, 160.0), (3400.0, 220.0))
"""Formants of an open vowel: Hz and bandwidth (after Fant, "Acoustic Theory of Speech Production", 1960)."""
DAMPED: Final = 5.0
"""Factor of the bandwidth with which a pulse has decayed when the next one comes, up to 300 Hz."""
RINGING: Final = 1.0
"""Factor as in a real open vowel: above some 150 Hz, the rest of a pulse overlaps the next."""
_OPENS: Final = 0.4
_CLOSES: Final = 0.16
"""Shares of a period in which the folds open and close."""


@dataclass(frozen=True, slots=True)
class Truth:
    """True values of a voice.

    Attributes:
        f0_hz: One over the mean period.
        jitter: 1/(N−1) Σ|T(i+1) − T(i)| / mean T of the periods as drawn.
        shimmer: The same of the amplitudes.
        hnr_db: Power of the voice over that of the noise.
    """

    f0_hz: float
    jitter: float
    shimmer: float
    hnr_db: float


@lru_cache(maxsize=64)
def make_voice(
    f0_hz: float,
    *,
    jitter: float = 0.0,
    shimmer: float = 0.0,
    hnr_db: float = NOISELESS_DB,
    damping: float = DAMPED,
    seconds: float = 2.0,
    seed: int = 0,
) -> tuple[NDArray[np.float32], Truth]:
    """Synthesize a vowel of Rosenberg's pulses (JASA 49, 1971, type B) at 16 kHz, with its true values.

    Periods and amplitudes vary independently from pulse to pulse, each normally distributed.

    Args:
        f0_hz: Mean F0.
        jitter: Nominal value; the truth holds the actual one.
        shimmer: Nominal value, likewise.
        hnr_db: Ratio to white noise.
        damping: Factor of the formant bandwidths: `DAMPED` or `RINGING`.
        seconds: Length.
        seed: Seed of all randomness.
    """
    rng = np.random.default_rng(seed)
    count = int(seconds * f0_hz)
    # The mean absolute difference of two normal variables is 2/√π of their standard deviation.
    to_sd = np.sqrt(np.pi) / 2.0
    period = 1.0 / f0_hz * (1.0 + jitter * to_sd * np.clip(rng.normal(size=count), -3, 3))
    amplitude = 1.0 + shimmer * to_sd * np.clip(rng.normal(size=count), -3, 3)
    begins = np.cumsum(period) - period[0]
    fine = RATE * _FINE
    wave = np.zeros(int((begins[-1] + period[-1]) * fine) + 1)
    open_s, close_s = _OPENS / f0_hz, _CLOSES / f0_hz
    shape_length = int((open_s + close_s) * fine) + 2
    for begin, height in zip(begins, amplitude, strict=True):
        first = int(np.ceil(begin * fine))
        t = np.arange(first, min(first + shape_length, len(wave))) / fine - begin
        rise = 3.0 * (t / open_s) ** 2 - 2.0 * (t / open_s) ** 3
        fall = 1.0 - ((t - open_s) / close_s) ** 2
        wave[first : first + len(t)] += height * np.where(
            t < open_s, rise, np.where(t < open_s + close_s, fall, 0.0)
        )
    clean = _through_the_mouth(wave, fine, damping)
    clean *= 0.25 / np.abs(clean).max()
    noise = rng.normal(size=len(clean))
    noise *= np.sqrt(np.mean(clean**2) / np.mean(noise**2) / 10.0 ** (hnr_db / 10.0))
    truth = Truth(
        f0_hz=float(1.0 / period[:-1].mean()),
        jitter=float(np.abs(np.diff(period[:-1])).mean() / period[:-1].mean()),
        shimmer=float(np.abs(np.diff(amplitude)).mean() / amplitude.mean()),
        hnr_db=hnr_db,
    )
    samples = (clean + noise).astype(np.float32)
    samples.setflags(write=False)
    return samples, truth


def _through_the_mouth(flow: NDArray[np.float64], rate: int, damping: float) -> NDArray[np.float64]:
    """Apply formants and lip radiation (a difference), and remove everything above half of `RATE`."""
    size = 1 << (len(flow) + rate // 5).bit_length()
    hz = np.fft.rfftfreq(size, 1.0 / rate)
    response = 2j * np.pi * hz / 1000.0
    s = 2j * np.pi * hz
    for centre, width in _FORMANTS:
        pole = -np.pi * damping * width + 2j * np.pi * centre
        response *= abs(pole) ** 2 / ((s - pole) * (s - np.conj(pole)))
    response *= np.clip((0.5 * RATE - hz) / 300.0, 0.0, 1.0)
    out: NDArray[np.float64] = np.fft.irfft(np.fft.rfft(flow, size) * response, size)[: len(flow) : _FINE]
    return out
