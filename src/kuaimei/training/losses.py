"""Similarity losses against the reference: speaker encoders, pitch and long-term spectrum."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from kuaimei.training.augmentation import augmented
from kuaimei.training.kokoro import RATE
from kuaimei.training.pitch import log_statistics, track_pitch
from kuaimei.training.spectral_features import MelBank, long_term_spectrum, mel_bank

__all__ = ["SimilarityCriterion", "SimilarityLosses", "TargetSpeech", "pitch_loss"]

_VOICED_HZ: Final = 50.0
_HOP_S: Final = 0.0125
_SPREAD: Final = 1.0
"""Weight of an error in the spread of the pitch against one in its mean: both are equally audible."""


@dataclass(frozen=True, slots=True)
class TargetSpeech:
    """Recording of the target speaker.

    Attributes:
        samples: At 24 kHz, shape ``(n,)``.
        bandwidth_hz: Upper end of its spectrum (its original sample rate may have been low).
    """

    samples: NDArray[np.float32]
    bandwidth_hz: float


@dataclass(frozen=True, slots=True)
class SimilarityLosses:
    """Similarity of one utterance to the reference.

    Attributes:
        similarity: Cosine by encoder.
        pitch: Distance in mean and spread of log F0.
        colour: Mean distance of the long-term spectrum in log power.
    """

    similarity: Mapping[str, torch.Tensor]
    pitch: torch.Tensor
    colour: torch.Tensor


class SimilarityCriterion:
    """Measures utterances against one reference.

    Args:
        reference: Recording to resemble.
        encoders: Speaker encoders by name: modules from samples at 24 kHz to a vector of length 1.
        device: Device to compute on.
    """

    def __init__(self, reference: TargetSpeech, encoders: Mapping[str, Any], device: torch.device) -> None:
        samples = torch.from_numpy(reference.samples).to(device)
        self._bank: MelBank = mel_bank(RATE, 1024, 256, 80, min(reference.bandwidth_hz, 10_000.0), device)
        self._encoders = encoders
        with torch.no_grad():
            self._speaker = {name: encoder(samples) for name, encoder in encoders.items()}
            self._colour = long_term_spectrum(samples, self._bank)
        self.pitch = log_statistics(track_pitch(reference.samples, RATE, _HOP_S))
        """Mean and spread of the reference's log F0; None if nothing in it is voiced."""

    def __call__(self, samples: torch.Tensor, pitch: torch.Tensor | None, number: int) -> SimilarityLosses:
        """Compute the losses of an utterance, which is `augmented` for the encoders.

        Args:
            samples: At 24 kHz, shape ``(n,)``.
            pitch: F0 in Hz, shape ``(m,)``; None: the pitch is fixed and gives no loss.
            number: Number of the iteration.
        """
        heard = augmented(samples, RATE, number)
        similarity = {name: encoder(heard) @ self._speaker[name] for name, encoder in self._encoders.items()}
        zero = samples.new_zeros(())
        apart = zero if pitch is None or self.pitch is None else pitch_loss(pitch, *self.pitch)
        return SimilarityLosses(
            similarity, apart, (long_term_spectrum(samples, self._bank) - self._colour).abs().mean()
        )


def pitch_loss(pitch: torch.Tensor, mean: float, spread: float) -> torch.Tensor:
    """Return the distance of ``pitch``'s log mean and log standard deviation (voiced) from those given.

    Args:
        pitch: F0 in Hz, shape ``(m,)``.
        mean: Target mean of ln F0.
        spread: Target standard deviation of ln F0.
    """
    logs = torch.log(pitch[pitch > _VOICED_HZ])
    if logs.numel() < 2:
        return pitch.new_zeros(())
    return (logs.mean() - mean).abs() + _SPREAD * (logs.std() - spread).abs()
