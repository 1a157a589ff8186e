"""Decoder adaptation: the vocoder itself is trained on the voice, as a small change to its weights.

Two objectives alternate. The reference, aligned with its text: given its phonemes, pitch and loudness, the
vocoder must reproduce it, in log-mel spectra of three resolutions (Yamamoto et al. 2020). And new sentences,
spoken in the trained style: speaker encoders must recognize the reference's speaker in them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from kuaimei.models.weight_delta import WeightDelta
from kuaimei.training.asr_loss import AsrLoss
from kuaimei.training.kokoro import FRAME, RATE, EncodedText, Prosody, TorchKokoro
from kuaimei.training.lora import LoraAdapter
from kuaimei.training.losses import SimilarityCriterion
from kuaimei.training.spectral_features import MelBank, mel_bank
from kuaimei.training.style import schedule
from kuaimei.training.targets import AlignedTarget

__all__ = ["DECODER_WEIGHTS", "DecoderTrainer", "DecoderWeights"]

_RESOLUTIONS: Final = ((512, 128, 50), (1024, 256, 80), (2048, 512, 120))
"""Window and hop in samples, and number of bands."""
_MIDDLE: Final = 1
_FLOOR: Final = 1e-4
_SEED: Final = 20
_MODULE: Final = "decoder."


@dataclass(frozen=True, slots=True)
class DecoderWeights:
    """Loss weights and learning rates of decoder training.

    Attributes:
        iterations: Number after which more bring no gain.
        rank: Rank of the weight changes.
        rate: Learning rate of Adam for matrices.
        vector_rate: Learning rate of Adam for vectors.
        style_rate: Learning rate of Adam for the timbre half of the style.
        frames: Frames of the reference in one iteration, 25 ms each.
        encoders: Weight of one minus the cosine on new sentences, by encoder.
        colour: Weight of the distance in long-term spectrum on new sentences.
        heard: Weight of the intelligibility loss on new sentences, per token.
        words: Weight of the distance of new sentences, per band and with the mean removed, from the stock
            decoder's: a speaker encoder does not penalize blurred words.
        clip: Maximum norm of the gradient.
    """

    iterations: int
    rank: int
    rate: float
    vector_rate: float
    style_rate: float
    frames: int
    encoders: Mapping[str, float]
    colour: float
    heard: float
    words: float
    clip: float


DECODER_WEIGHTS: Final = DecoderWeights(
    iterations=400,
    rank=16,
    rate=1.5e-4,
    vector_rate=1e-3,
    style_rate=3e-3,
    frames=64,
    encoders={"ge2e": 0.5, "campplus": 1.0},
    colour=0.2,
    heard=0.7,
    words=0.2,
    clip=5.0,
)


class DecoderTrainer:
    """Trains the decoder; see `kuaimei.training.train_loop.Trainable`.

    Args:
        kokoro: The network.
        likenesses: Similarity losses against the reference.
        teacher: The reference aligned with its text.
        lines: Training prompts.
        style: Trained style, shape ``(256,)``.
        bandwidth_hz: Upper end of the reference's spectrum.
        weights: Loss weights and learning rates.
        listening: Intelligibility loss of the prompts; None: not used.
    """

    def __init__(
        self,
        kokoro: TorchKokoro,
        likenesses: SimilarityCriterion,
        teacher: AlignedTarget,
        lines: Sequence[EncodedText],
        style: NDArray[np.float32],
        bandwidth_hz: float,
        weights: DecoderWeights = DECODER_WEIGHTS,
        listening: AsrLoss | None = None,
    ) -> None:
        self._kokoro = kokoro
        self._likenesses = likenesses
        self._teacher = teacher
        self._weights = weights
        self._listening = listening
        self._banks: list[MelBank] = [
            mel_bank(RATE, size, hop, bands, bandwidth_hz, kokoro.device) for size, hop, bands in _RESOLUTIONS
        ]
        whole = torch.from_numpy(style).to(kokoro.device)
        self._sound = whole[:128].clone().requires_grad_(True)
        self._prosody = whole[128:].clone()
        with torch.no_grad():
            self._lines = [self._line(text, whole[:128]) for text in lines]
        self._change = LoraAdapter(_learnable(kokoro.vocoder.weights), weights.rank, _SEED)
        self._groups = (
            ([self._sound], weights.style_rate),
            (self._change.matrices, weights.rate),
            (self._change.vectors, weights.vector_rate),
        )
        self._adam = torch.optim.Adam(
            [{"params": tensors, "lr": rate} for tensors, rate in self._groups], betas=(0.8, 0.99)
        )
        self.iterations = weights.iterations

    @property
    def style(self) -> NDArray[np.float32]:
        """Style trained so far, shape ``(256,)``."""
        style: NDArray[np.float32] = torch.cat([self._sound.detach(), self._prosody]).cpu().numpy()
        return style

    def difference(self, initialisers: Mapping[str, str]) -> WeightDelta:
        """Return the weight change trained so far, by ONNX initialiser.

        Args:
            initialisers: The ONNX initialiser of each of Kokoro's weights.
        """
        own = {name: initialisers[f"{_MODULE}{name}"] for name in self._change.names}
        return self._change.weight_delta(own)

    def iterate(self, iteration: int, fraction: float) -> Mapping[str, float]:
        """Train on an excerpt of the reference (even iterations) or on a new sentence (odd ones).

        Returns:
            Similarity of the new sentence to the reference by encoder; empty after an excerpt.
        """
        for group, (_, rate) in zip(self._adam.param_groups, self._groups, strict=True):
            group["lr"] = rate * schedule(iteration, fraction)
        with self._kokoro.vocoder.changed(self._change.factors()):
            loss, similarity = (
                self._reconstruction_step(iteration) if iteration % 2 == 0 else self._speak(iteration)
            )
        self._adam.zero_grad()
        loss.backward()
        learned = [tensor for tensors, _ in self._groups for tensor in tensors if tensor.grad is not None]
        if torch.isfinite(torch.nn.utils.clip_grad_norm_(learned, self._weights.clip)):
            self._adam.step()
        return similarity

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {
            "sound": self._sound.detach().cpu(),
            "prosody": self._prosody.cpu(),
            "change": self._change.state(),
            "adam": self._adam.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        with torch.no_grad():
            self._sound.copy_(state["sound"])
            self._prosody.copy_(state["prosody"])
        self._change.restore(state["change"])
        self._adam.load_state_dict(state["adam"])

    def _reconstruction_step(self, iteration: int) -> tuple[torch.Tensor, Mapping[str, float]]:
        """Return the distance from an excerpt of the reference, chosen by the iteration's number alone."""
        count = min(self._weights.frames, self._teacher.frames)
        random = np.random.default_rng([_SEED, iteration])
        first = int(random.integers(0, self._teacher.frames - count + 1))
        piece = slice(first, first + count)
        fine = slice(2 * first, 2 * (first + count))
        samples = self._kokoro.vocoder(
            self._teacher.spoken[piece], self._teacher.pitch[fine], self._teacher.loudness[fine], self._sound
        )
        target = self._teacher.samples[first * FRAME : (first + count) * FRAME]
        loss = torch.stack(
            [(_logs(bank, samples) - _logs(bank, target)).abs().mean() for bank in self._banks]
        ).mean()
        return loss, {}

    def _speak(self, iteration: int) -> tuple[torch.Tensor, Mapping[str, float]]:
        number = (iteration // 2) % len(self._lines)
        line = self._lines[number]
        samples = self._kokoro.decode(line.text, line.said, self._sound)
        likeness = self._likenesses(samples, None, iteration)
        loss = self._weights.colour * likeness.colour
        loss = loss + self._weights.words * (_words(self._banks[_MIDDLE], samples) - line.words).abs().mean()
        if self._listening is not None:
            loss = loss + self._weights.heard * self._listening(samples, number)
        for name, similarity in likeness.similarity.items():
            loss = loss + self._weights.encoders.get(name, 1.0) * (1.0 - similarity)
        return loss, {name: float(value.detach()) for name, value in likeness.similarity.items()}

    def _line(self, text: EncodedText, sound: torch.Tensor) -> "_TrainingPrompt":
        said = self._kokoro.prosody(text, self._prosody)
        return _TrainingPrompt(
            text, said, _words(self._banks[_MIDDLE], self._kokoro.decode(text, said, sound))
        )


@dataclass(frozen=True, slots=True)
class _TrainingPrompt:
    """Training prompt with its prosody, and `_words` of the stock decoder speaking it."""

    text: EncodedText
    said: Prosody
    words: torch.Tensor


def _words(bank: MelBank, samples: torch.Tensor) -> torch.Tensor:
    """Return what changes from frame to frame in each band, which carries the words."""
    logs = _logs(bank, samples)
    return logs - logs.mean(1, keepdim=True)


def _logs(bank: MelBank, samples: torch.Tensor) -> torch.Tensor:
    return torch.log(bank.power(samples).clamp(min=1e-9).sqrt() + _FLOOR)


def _learnable(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Select the trained weights: convolutions and style affine layers; not source or snake frequency."""
    return {
        name: weight
        for name, weight in weights.items()
        if name.endswith((".weight", ".bias"))
        and not name.endswith(("norm.weight", "norm.bias", "pool.weight", "pool.bias"))
        and "m_source" not in name
        and not name.startswith(("F0_conv", "N_conv"))
    }
