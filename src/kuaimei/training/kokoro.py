"""Kokoro in torch, differentiable from its style vector to its samples.

The modules are those of the ``kokoro`` package (Apache-2.0), the weights those of the ONNX file used for
synthesis. This module runs them: one utterance at a time, the style-independent part computed once, the
vocoder in the layout and precision that is fastest on the processor (`ops`), and its sine source as
deterministic as in the export, so that both give the same audio.
"""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch
from torch import nn
from torch.nn.utils import remove_weight_norm

from kuaimei.errors import EngineUnavailable, WeightsError
from kuaimei.training.onnx_to_torch import read_kokoro
from kuaimei.training.vocoder import Vocoder

__all__ = ["FRAME", "RATE", "EncodedText", "Prosody", "TorchKokoro", "freeze", "load_kokoro"]

RATE: Final = 24_000
FRAME: Final = 600
"""Samples in a frame of the text; pitch and loudness have two values per frame."""
_SYMBOLS: Final = 178


@dataclass(frozen=True, slots=True)
class EncodedText:
    """Style-independent part of an utterance.

    Attributes:
        prosodic: Input of the prosody, shape ``(1, 512, symbols)``.
        spoken: Input of the decoder, shape ``(1, 512, symbols)``.
    """

    prosodic: torch.Tensor
    spoken: torch.Tensor


@dataclass(frozen=True, slots=True)
class Prosody:
    """Prosody of an utterance.

    Attributes:
        pitch: Hz, shape ``(2 * frames,)``; below 10 is unvoiced.
        loudness: Shape ``(2 * frames,)``.
        durations: Frames of each symbol as predicted, shape ``(symbols,)`` float.
        counts: The same in whole frames, as used.
    """

    pitch: torch.Tensor
    loudness: torch.Tensor
    durations: torch.Tensor
    counts: torch.Tensor


class TorchKokoro:
    """Frozen Kokoro network.

    Args:
        modules: Its modules by the names of their weights.
        device: Device of the modules.
    """

    def __init__(self, modules: nn.ModuleDict, device: torch.device) -> None:
        self._modules = modules
        self.device = device
        self.vocoder = Vocoder(modules["decoder"], device)

    def encode_text(self, tokens: Sequence[int]) -> EncodedText:
        """Compute the style-independent part of an utterance.

        Args:
            tokens: Kokoro's token ids of the phonemes, without pads.
        """
        ids = torch.tensor([[0, *tokens, 0]], device=self.device)
        with torch.no_grad():
            hidden = self._modules["bert"](ids, attention_mask=torch.ones_like(ids))
            prosodic = self._modules["bert_encoder"](hidden).transpose(1, 2)
            encoder = self._modules["text_encoder"]
            x = encoder.embedding(ids).transpose(1, 2)
            for layer in encoder.cnn:
                x = layer(x)
            spoken, _ = encoder.lstm(x.transpose(1, 2))
        return EncodedText(prosodic, spoken.transpose(1, 2))

    def prosody(self, text: EncodedText, style: torch.Tensor, counts: torch.Tensor | None = None) -> Prosody:
        """Compute durations, pitch and loudness.

        Args:
            text: From `encode_text`.
            style: Second half of the style, shape ``(128,)``.
            counts: Frames of each symbol; None: the predicted ones.
        """
        predictor = self._modules["predictor"]
        row = style.unsqueeze(0)
        x, durations = self._pronounce(text, style)
        if counts is None:
            counts = durations.detach().round().clamp(min=1).long()
        stretched, _ = predictor.shared(torch.repeat_interleave(x, counts, 1))
        pitch = loudness = stretched.transpose(1, 2)
        for block in predictor.F0:
            pitch = block(pitch, row)
        for block in predictor.N:
            loudness = block(loudness, row)
        return Prosody(predictor.F0_proj(pitch)[0, 0], predictor.N_proj(loudness)[0, 0], durations, counts)

    def durations(self, text: EncodedText, style: torch.Tensor) -> torch.Tensor:
        """Return the frames of each symbol with pads, shape ``(symbols,)``; ``style`` as in `prosody`."""
        return self._pronounce(text, style)[1]

    def synthesize(self, text: EncodedText, style: torch.Tensor) -> tuple[torch.Tensor, Prosody]:
        """Return samples at 24 kHz, shape ``(n,)``, and their prosody; ``style`` has shape ``(256,)``."""
        said = self.prosody(text, style[128:])
        return self.decode(text, said, style[:128]), said

    def decode(self, text: EncodedText, said: Prosody, style: torch.Tensor) -> torch.Tensor:
        """Return the samples of an utterance; ``style`` is the first half of the style, shape ``(128,)``.

        Args:
            text: From `encode_text`.
            said: Prosody of the utterance.
            style: First half of the style, shape ``(128,)``.
        """
        frames = torch.repeat_interleave(text.spoken[0].T, said.counts, 0)
        return self.vocoder(frames, said.pitch, said.loudness, style)

    def _pronounce(self, text: EncodedText, style: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return hidden symbols in that style, shape ``(1, symbols, 640)``, and their durations."""
        predictor = self._modules["predictor"]
        row = style.unsqueeze(0)
        spread = style.view(1, 1, -1).expand(1, text.prosodic.shape[2], -1)
        x = torch.cat([text.prosodic.transpose(1, 2), spread], 2)
        layers = predictor.text_encoder.lstms
        for recurrent, norm in zip(layers[::2], layers[1::2], strict=True):
            hidden, _ = recurrent(x)
            x = torch.cat([norm(hidden, row), spread], 2)
        hidden, _ = predictor.lstm(x)
        durations = torch.sigmoid(predictor.duration_proj(hidden)).sum(-1)[0]
        return x, durations


def load_kokoro(path: Path, device: torch.device) -> tuple[TorchKokoro, Mapping[str, str]]:
    """Load Kokoro and the ONNX initialiser of each weight from its fp32 file; takes a few seconds.

    Raises:
        WeightsError: If the file is not Kokoro.
        EngineUnavailable: If the packages for training are not installed.
    """
    weights = read_kokoro(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package is older than the torch that it runs on
        modules = _modules()
    missing = modules.load_state_dict(
        {name: torch.from_numpy(tensor.copy()) for name, tensor in weights.tensors.items()}, strict=False
    ).missing_keys
    # Instance normalisation's own affine part is the identity, and the pooler of ALBERT is not used.
    unused = ("norm.weight", "norm.bias", "pooler.weight", "pooler.bias")
    lost = [name for name in missing if not name.endswith(unused)]
    if lost:
        raise WeightsError(
            f"{path.name} does not contain {lost[0]} and {len(lost) - 1} other weights of Kokoro"
        )
    # Keep only the names, so that the mapped file can be released.
    return TorchKokoro(freeze(modules.to(device)), device), dict(weights.initialisers)


def freeze(module: nn.Module) -> nn.Module:
    """Freeze ``module``, so that gradients only pass through it.

    Its recurrent layers stay in training mode, which cuDNN needs for the backward pass; they have no dropout.
    """
    module.requires_grad_(False).eval()
    for part in module.modules():
        if isinstance(part, nn.LSTM):
            part.train()
    return module


def _modules() -> nn.ModuleDict:
    """Build Kokoro-82M's modules by its ``config.json``, weight normalization removed."""
    try:
        _import_without_init()
        parts: Any = importlib.import_module("kokoro.modules")
        sound: Any = importlib.import_module("kokoro.istftnet")
        from transformers import AlbertConfig
    except ImportError as error:
        raise EngineUnavailable(
            f"training requires packages that are not installed ({error}); run: make setup"
        ) from error
    bert = AlbertConfig(
        vocab_size=_SYMBOLS,
        hidden_size=768,
        num_attention_heads=12,
        intermediate_size=2048,
        max_position_embeddings=512,
        num_hidden_layers=12,
        dropout=0.1,
    )
    modules = nn.ModuleDict(
        {
            "bert": parts.CustomAlbert(bert),
            "bert_encoder": nn.Linear(768, 512),
            "predictor": parts.ProsodyPredictor(style_dim=128, d_hid=512, nlayers=3, max_dur=50, dropout=0.2),
            "text_encoder": parts.TextEncoder(channels=512, kernel_size=5, depth=3, n_symbols=_SYMBOLS),
            "decoder": sound.Decoder(
                dim_in=512,
                style_dim=128,
                dim_out=80,
                resblock_kernel_sizes=[3, 7, 11],
                upsample_rates=[10, 6],
                upsample_initial_channel=512,
                resblock_dilation_sizes=[[1, 3, 5]] * 3,
                upsample_kernel_sizes=[20, 12],
                gen_istft_n_fft=20,
                gen_istft_hop_size=5,
            ),
        }
    )
    for module in modules.modules():
        if hasattr(module, "weight_g"):
            remove_weight_norm(module)
    return modules


def _import_without_init() -> None:
    """Make ``kokoro.modules`` importable without ``kokoro/__init__``, which pulls in a text pipeline."""
    if "kokoro" in sys.modules:
        return
    spec = importlib.util.find_spec("kokoro")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("kokoro")
    package = ModuleType("kokoro")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["kokoro"] = package
