"""The same speech as another microphone might have recorded a part of it.

An encoder that is learned through can be deceived: what it alone hears as the speaker grows, and what an
encoder that is in no loss hears does not. A likeness that holds on average over such changes is no artefact
of one encoder's hearing (the idea of Athalye et al. 2018, "Synthesizing Robust Adversarial Examples", turned
round).
"""

from typing import Final

import numpy as np
import torch

__all__ = ["augmented"]

_SEED: Final = 7
_SHORTEST_S: Final = 1.25
"""Less of an utterance says little about who speaks."""
_LEAST: Final = 0.7
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 12_000.0
_KNOTS: Final = 9
"""Of the colour, evenly spaced in octaves: about one for each."""
_COLOUR_DB: Final = 3.0
_NOISE_DB: Final = (18.0, 40.0)
"""Below the speech."""


def augmented(samples: torch.Tensor, rate: int, number: int) -> torch.Tensor:
    """A piece of ``samples``, coloured, with noise; differentiable.

    Args:
        samples: Shape ``(n,)``.
        rate: In Hz.
        number: Decides everything that is random: what is learned does not depend on when it was interrupted.

    Returns:
        Shape ``(m,)``, at least `_LEAST` of them.
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
    """Through a smooth random equaliser without delay."""
    size = 1 << (len(samples) - 1).bit_length()
    octaves = np.log2(np.maximum(np.fft.rfftfreq(size, 1.0 / rate), _LOWEST_HZ))
    knots = np.linspace(np.log2(_LOWEST_HZ), np.log2(_HIGHEST_HZ), _KNOTS)
    gain_db = np.interp(octaves, knots, random.normal(0.0, _COLOUR_DB, _KNOTS))
    gain = torch.from_numpy((10.0 ** (gain_db / 20.0)).astype(np.float32)).to(samples.device)
    return torch.fft.irfft(torch.fft.rfft(samples, size) * gain, size)[: len(samples)]
