"""Spectral features of a voice: long-term spectrum, and mel spectra for reconstruction."""

from dataclasses import dataclass
from typing import Final

import torch

__all__ = ["MelBank", "long_term_spectrum", "mel_bank"]

_QUIETEST: Final = 7.0
"""Frames more than this below the loudest (in log power: 30 dB) say nothing about the voice."""
_FLOOR: Final = 1e-7


@dataclass(frozen=True, slots=True)
class MelBank:
    """Short-time power spectrum in mel bands.

    Attributes:
        bands: Shape ``(bands, fft // 2 + 1)``.
        window: Shape ``(fft,)``.
        hop: Samples from frame to frame.
    """

    bands: torch.Tensor
    window: torch.Tensor
    hop: int

    def power(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the power in each band, shape ``(bands, frames)``."""
        size = self.window.shape[0]
        spectrum = torch.stft(samples, size, self.hop, size, window=self.window, return_complex=True)
        return self.bands @ (spectrum.real.square() + spectrum.imag.square())


def mel_bank(rate: int, size: int, hop: int, bands: int, highest_hz: float, device: torch.device) -> MelBank:
    """Build triangles of equal area, evenly spaced in mel (O'Shaughnessy 1987) up to ``highest_hz``.

    Args:
        rate: Sample rate in Hz.
        size: Window length in samples.
        hop: Samples from frame to frame.
        bands: Number of bands.
        highest_hz: Upper edge of the last band.
        device: Device of the tensors.
    """
    top = 2595.0 * torch.log10(torch.tensor(1.0 + highest_hz / 700.0))
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, float(top), bands + 2) / 2595.0) - 1.0)
    places = torch.linspace(0.0, rate / 2.0, size // 2 + 1)
    below, peak, above = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (places - below) / (peak - below), (above - places) / (above - peak)
    triangles = torch.minimum(rising, falling).clamp(min=0.0) * (2.0 / (above - below))
    return MelBank(triangles.to(device), torch.hann_window(size, device=device), hop)


def long_term_spectrum(samples: torch.Tensor, bank: MelBank) -> torch.Tensor:
    """Return the long-term spectrum: mean (level removed) and spread of each band's log power in speech.

    Returns:
        Shape ``(2 * bands,)``.
    """
    power = torch.log(bank.power(samples) + _FLOOR)
    loudness = torch.logsumexp(power, 0)
    spoken = power[:, loudness > loudness.max() - _QUIETEST]
    mean = spoken.mean(1)
    return torch.cat([mean - mean.mean(), spoken.std(1)])
