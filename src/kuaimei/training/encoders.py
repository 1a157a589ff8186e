"""Speaker encoders as losses: GE2E and CAM++ in torch, differentiable from the samples on.

The uses and licences of the encoders are in `kuaimei.engines.speaker`: these two are losses. ERes2Net is not
here on purpose, because it evaluates the training result.

Both are filled from the same ``model.onnx`` as the engines: its weights keep the names of the original
checkpoints. None of their weights is trained: CAM++ has buffers only, GE2E parameters without a gradient (and
its LSTM stays in training mode, without which CUDA gives no gradient through it). Pauses are not removed
(synthesized speech has hardly any), which is the main difference to the engines: against them the cosine is
above 0.99.
"""

from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the conventional name
from torch import Tensor, nn

from kuaimei.engines.speaker.features import FLOOR, kaldi_filters, povey_window, slaney_filters
from kuaimei.errors import WeightsError
from kuaimei.models.onnx_reader import read_onnx

__all__ = ["CamPlus", "TorchGe2e", "load_campplus", "load_ge2e"]

_RATE: Final = 24_000
_SEGMENT: Final = 100


class TorchGe2e(nn.Module):
    """GE2E on 24 kHz.

    A transform of 600 samples at 24 kHz has the same bins of 40 Hz as one of 400 at 16 kHz, so no resampling
    is needed.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)
        self.load_state_dict(weights)
        self.requires_grad_(False)
        self.register_buffer("filters", torch.from_numpy(slaney_filters(_RATE, 600)), persistent=False)
        self.register_buffer("window", torch.hann_window(600), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Return the embedding of ``audio`` (24 kHz, shape ``(n,)``), shape ``(256,)``, length 1."""
        decibels = 10.0 * torch.log10(audio.pow(2).mean() + 1e-12)
        audio = audio * 10.0 ** (torch.clamp(-30.0 - decibels, min=0.0) / 20.0)
        window, filters = cast(Tensor, self.window), cast(Tensor, self.filters)
        spectrum = torch.stft(audio, 600, 240, 600, window, pad_mode="constant", return_complex=True)
        power = spectrum.real**2 + spectrum.imag**2
        mels = (filters @ power).T / 2.25  # 1.5 times as many samples under the window
        mels = F.pad(mels, (0, 0, 0, max(0, 160 - len(mels))))
        starts = [*range(0, len(mels) - 160, 60), len(mels) - 160]
        _, (hidden, _) = self.lstm(torch.stack([mels[start : start + 160] for start in starts]))
        parts = F.normalize(torch.relu(self.linear(hidden[-1])), dim=1)
        return F.normalize(parts.mean(dim=0), dim=0)


class CamPlus(nn.Module):
    """CAM++ on 24 kHz, resampled to the 16 kHz of its training by a windowed sinc."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self._names = {name: name.replace(".", "|") for name in weights}
        for name, value in weights.items():
            self.register_buffer(self._names[name], value)
        taps = np.arange(-72, 73) / 3.0  # cut off at 8 kHz, seen from 48 kHz
        lowpass = np.sinc(taps) * np.kaiser(len(taps), 8.0) / 3.0 * 2.0
        self.register_buffer("lowpass", torch.from_numpy(lowpass).float().view(1, 1, -1), persistent=False)
        self.register_buffer("filters", torch.from_numpy(kaldi_filters()), persistent=False)
        self.register_buffer("window", torch.from_numpy(povey_window()), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Return the embedding of ``audio`` (24 kHz, shape ``(n,)``), shape ``(192,)``, length 1."""
        return F.normalize(self._network(self._fbank(self._to_16k(audio))), dim=0)

    def _to_16k(self, audio: Tensor) -> Tensor:
        doubled = torch.stack([audio, torch.zeros_like(audio)], dim=1).reshape(1, 1, -1)
        return F.conv1d(doubled, cast(Tensor, self.lowpass), padding=72, stride=3).view(-1)

    def _fbank(self, audio: Tensor) -> Tensor:
        """Compute `kuaimei.engines.speaker.features.fbank`, but bands first: shape ``(1, 80, frames)``."""
        audio = F.pad(audio, (0, max(0, 16_000 - len(audio))))
        frames = audio.unfold(0, 400, 160)
        frames = frames - frames.mean(dim=1, keepdim=True)
        before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
        frames = (frames - 0.97 * before) * cast(Tensor, self.window)
        spectrum = torch.fft.rfft(frames, 512)
        power = spectrum.real**2 + spectrum.imag**2  # abs() has no gradient at zero
        logs = torch.log((power[:, :256] @ cast(Tensor, self.filters).T).clamp(min=FLOOR))
        return (logs - logs.mean(dim=0)).T.unsqueeze(0)

    def _network(self, x: Tensor) -> Tensor:
        x = torch.relu(self._norm(self._conv(x.unsqueeze(1), "head.conv1"), "head.bn1"))
        for layer in ("head.layer1", "head.layer2"):
            for block, stride in (("0", 2), ("1", 1)):
                x = self._residual(x, f"{layer}.{block}", stride)
        x = torch.relu(self._norm(self._conv(x, "head.conv2", (2, 1)), "head.bn2")).flatten(1, 2)
        x = torch.relu(
            self._norm(self._conv(x, "xvector.tdnn.linear", (2,)), "xvector.tdnn.nonlinear.batchnorm")
        )
        for number, dilation in ((1, 1), (2, 2), (3, 2)):
            depth = 1
            while self._has(name := f"xvector.block{number}.tdnnd{depth}"):
                x = torch.cat([x, self._cam_layer(x, name, dilation)], dim=1)
                depth += 1
            transit = f"xvector.transit{number}"
            x = self._conv(torch.relu(self._norm(x, f"{transit}.nonlinear.batchnorm")), f"{transit}.linear")
        x = torch.relu(self._norm(x, "xvector.out_nonlinear.batchnorm"))
        x = torch.cat([x.mean(dim=-1), x.std(dim=-1)], dim=1).unsqueeze(-1)
        return self._norm(
            self._conv(x, "xvector.dense.linear"), "xvector.dense.nonlinear.batchnorm"
        ).flatten()

    def _residual(self, x: Tensor, name: str, stride: int) -> Tensor:
        out = torch.relu(self._norm(self._conv(x, f"{name}.conv1", (stride, 1)), f"{name}.bn1"))
        out = self._norm(self._conv(out, f"{name}.conv2"), f"{name}.bn2")
        if self._weight(f"{name}.shortcut.0.weight") is not None:
            x = self._norm(self._conv(x, f"{name}.shortcut.0", (stride, 1)), f"{name}.shortcut.1")
        return torch.relu(out + x)

    def _cam_layer(self, x: Tensor, name: str, dilation: int) -> Tensor:
        x = self._conv(torch.relu(self._norm(x, f"{name}.nonlinear1.batchnorm")), f"{name}.linear1")
        x = torch.relu(self._norm(x, f"{name}.nonlinear2.batchnorm"))
        local = self._conv(x, f"{name}.cam_layer.linear_local", dilation=dilation)
        means = F.avg_pool1d(x, _SEGMENT, _SEGMENT, ceil_mode=True)
        segments = means.repeat_interleave(_SEGMENT, dim=-1)[..., : x.shape[-1]]
        context = x.mean(dim=-1, keepdim=True) + segments
        context = torch.relu(self._conv(context, f"{name}.cam_layer.linear1"))
        return local * torch.sigmoid(self._conv(context, f"{name}.cam_layer.linear2"))

    def _conv(self, x: Tensor, name: str, stride: tuple[int, ...] = (), dilation: int = 1) -> Tensor:
        """Convolve with a padding that keeps the length at stride 1."""
        weight = self._needed(f"{name}.weight")
        bias = self._weight(f"{name}.bias")
        padding = tuple((size - 1) // 2 * dilation for size in weight.shape[2:])
        if weight.dim() == 4:
            return F.conv2d(x, weight, bias, stride or 1, padding, dilation)
        return F.conv1d(x, weight, bias, stride or 1, padding, dilation)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        mean, variance = self._needed(f"{name}.running_mean"), self._needed(f"{name}.running_var")
        return F.batch_norm(x, mean, variance, self._weight(f"{name}.weight"), self._weight(f"{name}.bias"))

    def _has(self, layer: str) -> bool:
        return self._weight(f"{layer}.linear1.weight") is not None

    def _weight(self, name: str) -> Tensor | None:
        return getattr(self, self._names[name]) if name in self._names else None

    def _needed(self, name: str) -> Tensor:
        return cast(Tensor, getattr(self, self._names[name]))


def load_ge2e(path: Path | str) -> TorchGe2e:
    """Load GE2E from its folder in the catalogue, or its ``model.onnx``.

    Raises:
        WeightsError: If it is missing or another network.
    """
    return TorchGe2e(_weights(path, "linear.", "lstm."))


def load_campplus(path: Path | str) -> CamPlus:
    """Load CAM++ from its folder in the catalogue, or its ``model.onnx``.

    Raises:
        WeightsError: If it is missing or another network.
    """
    return CamPlus(_weights(path, "head.", "xvector."))


def _weights(path: Path | str, *beginnings: str) -> dict[str, Tensor]:
    file = Path(path)
    file = file / "model.onnx" if file.is_dir() else file
    if not file.is_file():
        raise WeightsError(f"there is no speaker encoder at {file}; run: kuaimei models pull ge2e campplus")
    tensors = {
        name: torch.from_numpy(np.array(value, np.float32))
        for name, value in read_onnx(file).tensors.items()
        if name.startswith(beginnings)
    }
    if {name.partition(".")[0] + "." for name in tensors} != set(beginnings):
        raise WeightsError(f"{file} is a different network; run: kuaimei models verify")
    return tensors
