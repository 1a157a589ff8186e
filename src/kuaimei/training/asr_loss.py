"""Intelligibility loss: Whisper in torch, differentiable from the samples to the token probabilities.

A speaker encoder does not penalize blurred words; this loss does. The network and its input features are
those of Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision", with the weights
of the CTranslate2 file that the recognizer itself uses. The window is cut to the utterance, as there.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from numpy.typing import NDArray
from torch.nn import functional

from kuaimei.engines.speaker.features import slaney_filters
from kuaimei.errors import WeightsError
from kuaimei.models.ctranslate2_reader import read_ct2

__all__ = ["AsrLoss", "WhisperScorer", "load_whisper_scorer"]

_RATE: Final = 24_000
_WINDOW, _HOP = 600, 240
"""At 24 kHz as long as Whisper's 400 and 160 samples at 16 kHz: with the same bins of 40 Hz."""
_DENSITY: Final = 1.5
"""Ratio of samples to 16 kHz: the power of a window is too large by its square."""
_BANDS: Final = 80
_RANGE: Final = 8.0
_PAD_S: Final = 0.5
_HEAD: Final = 64
_SIDES: Final = ("encoder", "decoder")


class WhisperScorer:
    """Frozen Whisper network that scores how well words are understood.

    Args:
        weights: Arrays by CTranslate2's names.
        device: Device to compute on.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]], device: torch.device) -> None:
        self._weights = {
            name: torch.from_numpy(value.astype("float32")).to(device)
            for name, value in weights.items()
            if value.ndim and value.dtype.kind == "f"
        }
        self._layers = {side: _count(weights, f"{side}/layer_{{}}/ffn/linear_0/weight") for side in _SIDES}
        self._filters = torch.from_numpy(slaney_filters(_RATE, _WINDOW, _BANDS)).to(device)
        self._window = torch.hann_window(_WINDOW, device=device)

    def __call__(self, samples: torch.Tensor, before: Sequence[int], words: Sequence[int]) -> torch.Tensor:
        """Return the mean negative log probability of the tokens ``words``, a scalar.

        Args:
            samples: At 24 kHz, shape ``(n,)``, at most 29 s.
            before: Tokens that open the transcript: prompt, language, task.
            words: Tokens of what is said, including the end token.
        """
        heard = self._encode(self._mel(samples))
        tokens = torch.tensor([*before, *words], device=samples.device)
        states = self._decode(tokens[:-1], heard)[len(before) - 1 :]
        logits = functional.linear(states, self._weights["decoder/projection/weight"])
        return functional.cross_entropy(logits, tokens[len(before) :])

    def _mel(self, samples: torch.Tensor) -> torch.Tensor:
        """Return Whisper's log mel energies, shape ``(80, frames)`` with an even number of frames."""
        count = len(samples) + int(_PAD_S * _RATE)
        samples = functional.pad(samples, (0, -(-count // (2 * _HOP)) * 2 * _HOP - len(samples)))
        spectrum = torch.stft(samples, _WINDOW, _HOP, _WINDOW, self._window, return_complex=True)[:, :-1]
        power = (spectrum.real.square() + spectrum.imag.square()) / _DENSITY**2
        logs = torch.log10((self._filters @ power).clamp(min=1e-10))
        return (torch.maximum(logs, logs.detach().max() - _RANGE) + 4.0) / 4.0

    def _encode(self, mel: torch.Tensor) -> torch.Tensor:
        x = mel[None]
        for name, stride in (("conv1", 1), ("conv2", 2)):
            weight, bias = self._weights[f"encoder/{name}/weight"], self._weights[f"encoder/{name}/bias"]
            x = functional.gelu(functional.conv1d(x, weight, bias, stride, 1))
        y = x[0].T
        y = y + self._weights["encoder/position_encodings/encodings"][: len(y)]
        for at in range(self._layers["encoder"]):
            layer = f"encoder/layer_{at}"
            y = y + self._attend(y, f"{layer}/self_attention")
            y = y + self._feed(y, f"{layer}/ffn")
        return self._norm(y, "encoder/layer_norm")

    def _decode(self, tokens: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
        y = self._weights["decoder/embeddings/weight"][tokens]
        y = y + self._weights["decoder/position_encodings/encodings"][: len(y)]
        for at in range(self._layers["decoder"]):
            layer = f"decoder/layer_{at}"
            y = y + self._attend(y, f"{layer}/self_attention", causal=True)
            y = y + self._attend(y, f"{layer}/attention", heard)
            y = y + self._feed(y, f"{layer}/ffn")
        return self._norm(y, "decoder/layer_norm")

    def _attend(
        self, x: torch.Tensor, name: str, heard: torch.Tensor | None = None, *, causal: bool = False
    ) -> torch.Tensor:
        x = self._norm(x, f"{name}/layer_norm")
        if heard is None:
            query, key, value = self._linear(x, f"{name}/linear_0").chunk(3, -1)
            last = 1
        else:
            query = self._linear(x, f"{name}/linear_0")
            key, value = self._linear(heard, f"{name}/linear_1").chunk(2, -1)
            last = 2
        heads = [part.unflatten(-1, (-1, _HEAD)).transpose(0, 1) for part in (query, key, value)]
        y = functional.scaled_dot_product_attention(*heads, is_causal=causal)
        return self._linear(y.transpose(0, 1).flatten(1), f"{name}/linear_{last}")

    def _feed(self, x: torch.Tensor, name: str) -> torch.Tensor:
        x = self._linear(self._norm(x, f"{name}/layer_norm"), f"{name}/linear_0")
        return self._linear(functional.gelu(x), f"{name}/linear_1")

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self._weights[f"{name}/weight"], self._weights.get(f"{name}/bias"))

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        gain, shift = self._weights[f"{name}/gamma"], self._weights[f"{name}/beta"]
        return functional.layer_norm(x, gain.shape, gain, shift)


@dataclass(frozen=True, slots=True)
class AsrLoss:
    """Intelligibility loss for a fixed set of prompts.

    Attributes:
        listener: Network that scores.
        before: Tokens that open every transcript: prompt, language, task.
        lines: Tokens of each prompt, including the end token.
    """

    listener: WhisperScorer
    before: Sequence[int]
    lines: Sequence[Sequence[int]]

    def __call__(self, samples: torch.Tensor, line: int) -> torch.Tensor:
        """Return the loss of the prompt with index ``line``; see `WhisperScorer`."""
        return self.listener(samples, self.before, self.lines[line])


def _count(weights: Mapping[str, Any], name: str) -> int:
    return next(at for at in itertools.count() if name.format(at) not in weights)


def load_whisper_scorer(path: Path, device: torch.device) -> WhisperScorer:
    """Load Whisper from its ``model.bin``.

    Raises:
        WeightsError: If it is missing or another network.
    """
    weights = read_ct2(path)
    if "decoder/projection/weight" not in weights or "encoder/conv2/weight" not in weights:
        raise WeightsError(f"{path} is not a Whisper model; run: kuaimei models verify")
    return WhisperScorer(weights, device)
