"""Kokoro's vocoder (iSTFTNet, Kaneko et al. 2022, with a harmonic source), fast and differentiable.

Weights are those of the package's ``Decoder``; low-rank changes may be added (`Vocoder.changed`).
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import torch
from torch import nn
from torch.nn import functional

from kuaimei.training.ops import conv, conv_by_matmul, conv_transpose, snake, styled_norm, working_type

__all__ = ["GAIN", "Factors", "Vocoder"]

Factors: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Factors of a change: weight ``(rows, rank)``, ``(rank, columns)``; vector ``(n, 1)``, ``(1, 1)``."""

GAIN: Final = 1.444
"""Measured gain of the export over the modules, whose inverse transform is scaled differently."""
_RATE: Final = 24_000
_HARMONICS: Final = 9
_SINE: Final = 0.1
_VOICED_HZ: Final = 10.0
_HOP: Final = 300
"""Samples per value of the pitch."""
_FFT, _FFT_HOP = 20, 5
_STRIDES: Final = (10, 6)
_WIDTHS: Final = 3


class Vocoder:
    """Computes samples from frames of text, pitch and loudness.

    Args:
        decoder: The package's module with its weights; frozen.
        device: Device of the module.
    """

    def __init__(self, decoder: nn.Module, device: torch.device) -> None:
        self._weights: dict[str, torch.Tensor] = dict(decoder.state_dict())
        self._changes: Mapping[str, Factors] = {}
        self._type = working_type(device)
        self._window = torch.hann_window(_FFT, device=device)
        self._multiples = torch.arange(1, _HARMONICS + 1, device=device, dtype=torch.float32)

    @property
    def weights(self) -> Mapping[str, torch.Tensor]:
        """Stock weights, by name."""
        return self._weights

    @contextmanager
    def changed(self, changes: Mapping[str, Factors]) -> Iterator[None]:
        """Compute with ``left @ right`` added to these weights (see `kuaimei.models.weight_delta`).

        The sum is never formed: the change is computed beside the frozen weight, so that no
        gradient is as large as a weight. Without bfloat16 that more than halves the time.
        """
        before, self._changes = self._changes, changes
        try:
            yield
        finally:
            self._changes = before

    def __call__(
        self, frames: torch.Tensor, pitch: torch.Tensor, loudness: torch.Tensor, style: torch.Tensor
    ) -> torch.Tensor:
        """Compute the samples, shape ``(600 * n,)``.

        Args:
            frames: Shape ``(n, 512)``.
            pitch: Hz, shape ``(2 * n,)``.
            loudness: Shape ``(2 * n,)``.
            style: First half of the style, shape ``(128,)``.
        """
        low = self._plain(pitch[:, None], "F0_conv", stride=2, padding=1)
        loud = self._plain(loudness[:, None], "N_conv", stride=2, padding=1)
        rest = self._plain(frames, "asr_res.0")
        x = self._block(torch.cat([frames, low, loud], 1).to(self._type), "encode", style)
        beside = torch.cat([rest, low, loud], 1).to(self._type)
        for at in range(4):
            x = self._block(torch.cat([x, beside], 1), f"decode.{at}", style, upsample=at == 3)
        return self._generate(x, style, self._source(pitch))

    def _generate(self, x: torch.Tensor, style: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        for at, stride in enumerate(_STRIDES):
            x = functional.leaky_relu(x, 0.1)
            last = at == len(_STRIDES) - 1
            further = math.prod(_STRIDES[at + 1 :])
            padding = 0 if last else (further + 1) // 2
            sines = self._plain(source, f"generator.noise_convs.{at}", stride=further, padding=padding)
            sines = self._resblock(sines, f"generator.noise_res.{at}", style)
            x = self._upsampled(x, f"generator.ups.{at}", stride)
            if last:
                x = torch.cat([x[1:2], x], 0)
            x = x + sines
            blocks = [f"generator.resblocks.{at * _WIDTHS + width}" for width in range(_WIDTHS)]
            x = sum(self._resblock(x, block, style) for block in blocks) / _WIDTHS
        x = self._plain(functional.leaky_relu(x), "generator.conv_post").float()
        half = _FFT // 2 + 1
        phase = torch.sin(x[:, half:])
        spectrum = torch.polar(torch.exp(x[:, :half]), phase)
        return torch.istft(spectrum.T, _FFT, _FFT_HOP, _FFT, window=self._window) * GAIN

    def _source(self, pitch: torch.Tensor) -> torch.Tensor:
        """Return magnitudes and phases of the sines that excite the vocoder, shape ``(60 * 2n + 1, 22)``."""
        with torch.no_grad():
            turns = (pitch[:, None] * self._multiples / _RATE) % 1.0
            phases = torch.cumsum(turns, 0) * (2.0 * math.pi * _HOP)
            phases = functional.interpolate(phases.T[None], scale_factor=float(_HOP), mode="linear")[0]
            voiced = (pitch > _VOICED_HZ).float().repeat_interleave(_HOP)
            waves = torch.sin(phases) * (_SINE * voiced)
            merge = "generator.m_source.l_linear"
            mixed = torch.tanh(
                self._weights[f"{merge}.weight"] @ waves + self._weights[f"{merge}.bias"][:, None]
            )
            spectrum = torch.stft(mixed[0], _FFT, _FFT_HOP, _FFT, window=self._window, return_complex=True)
            return torch.cat([spectrum.abs(), spectrum.angle()], 0).T.to(self._type)

    def _plain(self, x: torch.Tensor, name: str, **shape: Any) -> torch.Tensor:
        weight = self._weights[f"{name}.weight"]
        y = self._shifted(conv(x, weight, self._weights.get(f"{name}.bias"), **shape), f"{name}.bias")
        if (change := self._changes.get(f"{name}.weight")) is not None:
            left, right = change
            y = y + conv_by_matmul(x, right.view(-1, *weight.shape[1:]), **shape) @ left.T.to(y.dtype)
        return y

    def _upsampled(self, x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        weight = self._weights[f"{name}.weight"]
        padding = (weight.shape[-1] - stride) // 2
        y = conv_transpose(x, weight, self._weights[f"{name}.bias"], stride=stride, padding=padding)
        y = self._shifted(y, f"{name}.bias")
        if (change := self._changes.get(f"{name}.weight")) is not None:
            left, right = change
            thin, kernel = x @ left.to(x.dtype), right.view(-1, *weight.shape[1:])
            y = y + conv_transpose(thin, kernel, None, stride=stride, padding=padding)
        return y

    def _shifted(self, y: torch.Tensor, name: str) -> torch.Tensor:
        """Add the change of a bias; inside the convolution it would cost the gradient of the weight, too."""
        change = self._changes.get(name)
        return y if change is None else y + (change[0] @ change[1])[:, 0].to(y.dtype)

    def _norm(self, x: torch.Tensor, name: str, style: torch.Tensor) -> torch.Tensor:
        both = functional.linear(style, self._weights[f"{name}.fc.weight"], self._weights[f"{name}.fc.bias"])
        if (change := self._changes.get(f"{name}.fc.weight")) is not None:
            left, right = change
            both = both + left @ (right @ style)
        gain, shift = self._shifted(both, f"{name}.fc.bias").chunk(2)
        return styled_norm(x, 1.0 + gain, shift)

    def _resblock(self, x: torch.Tensor, name: str, style: torch.Tensor) -> torch.Tensor:
        for at, dilation in enumerate((1, 3, 5)):
            y = snake(self._norm(x, f"{name}.adain1.{at}", style), self._weights[f"{name}.alpha1.{at}"])
            y = self._plain(y, f"{name}.convs1.{at}", dilation=dilation)
            y = snake(self._norm(y, f"{name}.adain2.{at}", style), self._weights[f"{name}.alpha2.{at}"])
            x = x + self._plain(y, f"{name}.convs2.{at}")
        return x

    def _block(
        self, x: torch.Tensor, name: str, style: torch.Tensor, *, upsample: bool = False
    ) -> torch.Tensor:
        beside = x.repeat_interleave(2, 0) if upsample else x
        if f"{name}.conv1x1.weight" in self._weights:
            beside = self._plain(beside, f"{name}.conv1x1")
        y = functional.leaky_relu(self._norm(x, f"{name}.norm1", style), 0.2)
        if upsample:
            pool = f"{name}.pool"
            y = functional.conv_transpose1d(
                y.T[None].float(),
                self._weights[f"{pool}.weight"],
                self._weights[f"{pool}.bias"],
                stride=2,
                padding=1,
                output_padding=1,
                groups=y.shape[1],
            )[0].T.to(x.dtype)
        y = self._plain(y, f"{name}.conv1")
        y = functional.leaky_relu(self._norm(y, f"{name}.norm2", style), 0.2)
        return (self._plain(y, f"{name}.conv2") + beside) * math.sqrt(0.5)
