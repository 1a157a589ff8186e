"""Augmentation: the same speech as another microphone might have recorded a part of it.

A speaker encoder used as a loss can be deceived: its own similarity grows while that of an encoder in no loss
does not. A similarity that holds on average over such changes is no artefact of one encoder (the idea of
Athalye et al. 2018, "Synthesizing Robust Adversarial Examples", turned round).
"""

from typing import Final

import numpy as np
import torch

__all__ = ["augmented"]

_SEED: Final = 7
_SHORTEST_S: Final = 1.25
"""Shorter excerpts of an utterance say little about who speaks."""
_LEAST: Final = 0.7
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 12_000.0
_KNOTS: Final = 9
"""Knots of the equalizer curve, evenly spaced in octaves: about one for each."""
_COLOUR_DB: Final = 3.0
_NOISE_DB: Final = (18.0, 40.0)
"""Range of the noise level below the speech."""


def augmented(samples: torch.Tensor, rate: int, number: int) -> torch.Tensor:
    """Return an excerpt of ``samples``, randomly equalized, with noise; differentiable.

    Args:
        samples: Shape ``(n,)``.
        rate: Sample rate in Hz.
        number: Seed of all randomness, so that training does not depend on interruptions.

    Returns:
        Shape ``(m,)``, at least the share `_LEAST` of them.
    """
    random = np.random.default_rng([_SEED, number])
    count = len(samples)
    size = min(count, max(int(_SHORTEST_S * rate), int(count * random.uniform(_LEAST, 1.0))))
    first = int(random.integers(0, count - size + 1))
    coloured = _random_eq(samples[first : first + size], rate, random)
    noise = torch.from_numpy(random.standard_normal(size).astype(np.float32)).to(samples.device)
    level = coloured.detach().square().mean().sqrt() * 10.0 ** (-random.uniform(*_NOISE_DB) / 20.0)
    return coloured + level * noise


def _random_eq(samples: torch.Tensor, rate: int, random: np.random.Generator) -> torch.Tensor:
    """Apply a smooth random equalizer without delay."""
    size = 1 << (len(samples) - 1).bit_length()
    octaves = np.log2(np.maximum(np.fft.rfftfreq(size, 1.0 / rate), _LOWEST_HZ))
    knots = np.linspace(np.log2(_LOWEST_HZ), np.log2(_HIGHEST_HZ), _KNOTS)
    gain_db = np.interp(octaves, knots, random.normal(0.0, _COLOUR_DB, _KNOTS))
    gain = torch.from_numpy((10.0 ** (gain_db / 20.0)).astype(np.float32)).to(samples.device)
    return torch.fft.irfft(torch.fft.rfft(samples, size) * gain, size)[: len(samples)]
