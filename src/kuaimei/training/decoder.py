"""Decoder adaptation: the vocoder itself learns the voice, as a small change to its weights.

Two teachers take turns. The reference, aligned with its text: given its phonemes, pitch and loudness the
vocoder must sound like it, in log-mel spectra of three resolutions (Yamamoto et al. 2020). And new sentences,
said as the learned style says them: speaker encoders must hear the reference's speaker in them.
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
"""Window and hop in samples, and bands."""
_MIDDLE: Final = 1
_FLOOR: Final = 1e-4
_SEED: Final = 20
_MODULE: Final = "decoder."


@dataclass(frozen=True, slots=True)
class DecoderWeights:
    """What counts how much, and how fast.

    Attributes:
        iterations: After which more gain nothing.
        rank: Of the changes.
        rate: Of Adam for matrices.
        vector_rate: Of Adam for vectors.
        style_rate: Of Adam for the half of the style that colours the sound.
        frames: Of the reference in one iteration, 25 ms each.
        encoders: Of one minus the cosine on new sentences, by encoder.
        colour: Of the distance in long-term spectrum on new sentences.
        heard: Of how badly a listener understands new sentences, per token.
        words: Of the distance of new sentences, band by band and freed of colour, from how the stock decoder
            says them: an encoder of speakers does not mind if words blur.
        clip: Largest norm of a gradient.
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
    """Learns the decoder; see `kuaimei.training.train_loop.Trainable`.

    Args:
        kokoro: The network.
        likenesses: Measures against the reference.
        teacher: The reference aligned with its text.
        lines: Sentences to practise on.
        style: As learned before, shape ``(256,)``.
        bandwidth_hz: Above this there is nothing in the reference.
        weights: What counts how much.
        listening: Hears the words of the lines; None: nobody minds them.
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
        """As learned so far, shape ``(256,)``."""
        style: NDArray[np.float32] = torch.cat([self._sound.detach(), self._prosody]).cpu().numpy()
        return style

    def difference(self, initialisers: Mapping[str, str]) -> WeightDelta:
        """The change as learned so far, by ONNX initialiser.

        Args:
            initialisers: The ONNX initialiser of each of Kokoro's weights.
        """
        own = {name: initialisers[f"{_MODULE}{name}"] for name in self._change.names}
        return self._change.weight_delta(own)

    def iterate(self, iteration: int, fraction: float) -> Mapping[str, float]:
        """A piece of the reference, or a new sentence: then its similarity to the reference by encoder."""
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
        """For a checkpoint."""
        return {
            "sound": self._sound.detach().cpu(),
            "prosody": self._prosody.cpu(),
            "change": self._change.state(),
            "adam": self._adam.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        with torch.no_grad():
            self._sound.copy_(state["sound"])
            self._prosody.copy_(state["prosody"])
        self._change.restore(state["change"])
        self._adam.load_state_dict(state["adam"])

    def _reconstruction_step(self, iteration: int) -> tuple[torch.Tensor, Mapping[str, float]]:
        """Distance from a piece of the reference, chosen by the iteration's number alone."""
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
    """A sentence to practise on, how it is said, and `_words` of the stock decoder saying it."""

    text: EncodedText
    said: Prosody
    words: torch.Tensor


def _words(bank: MelBank, samples: torch.Tensor) -> torch.Tensor:
    """What changes from frame to frame in each band, which is what words are made of."""
    logs = _logs(bank, samples)
    return logs - logs.mean(1, keepdim=True)


def _logs(bank: MelBank, samples: torch.Tensor) -> torch.Tensor:
    return torch.log(bank.power(samples).clamp(min=1e-9).sqrt() + _FLOOR)


def _learnable(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What may change: convolutions and styles' affine layers; not the source, nor the snakes' frequency."""
    return {
        name: weight
        for name, weight in weights.items()
        if name.endswith((".weight", ".bias"))
        and not name.endswith(("norm.weight", "norm.bias", "pool.weight", "pool.bias"))
        and "m_source" not in name
        and not name.startswith(("F0_conv", "N_conv"))
    }
