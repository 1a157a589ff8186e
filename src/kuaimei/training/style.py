"""Style inversion: finds the 256 numbers with which Kokoro sounds most like the reference.

Gradient descent through the frozen network, in units of each number's spread among the stock voices: one
learning rate then suits all, and the distance from the start measures how far the network is led from the
voices it was trained on (where it begins to slur).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from kuaimei.training.asr_loss import AsrLoss
from kuaimei.training.kokoro import EncodedText, TorchKokoro
from kuaimei.training.losses import SimilarityCriterion

__all__ = ["STYLE", "STYLE_WEIGHTS", "StyleTrainer", "StyleWeights", "schedule", "stock_spread"]

STYLE: Final = 256
"""Numbers in a style: the first half determines the timbre, the second the prosody."""
_TYPICAL: Final = 0.14
"""Mean spread of a style's numbers, used if there are no stock voices to measure it on."""
_ROWS: Final = slice(30, 90)
"""Rows of a voice's table, which has one for each text length, that belong to sentences."""
_WARM_UP: Final = 5
_CLIP: Final = 1.0
_PAUSES: Final = 0.15
"""Tolerated error in log duration: a recording may contain pauses that no text reveals."""
_PACE: Final = 1.4
"""Maximum ratio to the tempo of the start; beyond it the text is not what is said."""


@dataclass(frozen=True, slots=True)
class StyleWeights:
    """Loss weights and learning rate of style training.

    Attributes:
        iterations: Number after which more bring no gain.
        step: Learning rate of Adam, in units of the stock voices' spread.
        encoders: Weight of one minus the cosine, by encoder.
        pitch: Weight of the distance in mean and spread of log F0.
        colour: Weight of the distance in long-term spectrum.
        rate: Weight of the distance in log duration of the reference's text.
        words: Weight of the intelligibility loss, per token.
        pull: Weight of the mean square distance from the start.
    """

    iterations: int
    step: float
    encoders: Mapping[str, float]
    pitch: float
    colour: float
    rate: float
    words: float
    pull: float


STYLE_WEIGHTS: Final = StyleWeights(
    iterations=30,  # more gain little similarity, and blur words
    step=0.1,
    encoders={"ge2e": 1.0, "campplus": 1.0},
    pitch=0.3,
    colour=0.2,
    rate=0.0,  # 0.2 brings the tempo within a tenth, but costs 0.07 of the ERes2Net similarity
    words=0.5,
    pull=0.002,
)


class StyleTrainer:
    """Trains a style; see `kuaimei.training.train_loop.Trainable`.

    Args:
        kokoro: The network.
        likenesses: Similarity losses against the reference.
        lines: Training prompts.
        said: Text of the reference, and its frames of 25 ms; None if unknown: then its tempo is not trained.
        start: Initial style, shape ``(256,)``.
        spread: Standard deviation of each number among the stock voices, shape ``(256,)``.
        weights: Loss weights and learning rate.
        listening: Intelligibility loss of the prompts; None: not used.
    """

    def __init__(
        self,
        kokoro: TorchKokoro,
        likenesses: SimilarityCriterion,
        lines: Sequence[EncodedText],
        said: tuple[EncodedText, int] | None,
        start: NDArray[np.float32],
        spread: NDArray[np.float32],
        weights: StyleWeights = STYLE_WEIGHTS,
        listening: AsrLoss | None = None,
    ) -> None:
        self._kokoro = kokoro
        self._likenesses = likenesses
        self._lines = lines
        self._weights = weights
        self._listening = listening
        self._start = torch.from_numpy(start).to(kokoro.device)
        self._spread = torch.from_numpy(spread).to(kokoro.device)
        self._away = torch.zeros(STYLE, device=kokoro.device, requires_grad=True)
        self._adam = torch.optim.Adam([self._away], lr=weights.step, betas=(0.9, 0.98))
        self._said = (said[0], self._target(*said)) if said is not None and weights.rate > 0.0 else None
        self.iterations = weights.iterations

    @property
    def style(self) -> NDArray[np.float32]:
        """Style trained so far, shape ``(256,)``."""
        style: NDArray[np.float32] = self._style().detach().cpu().numpy().astype(np.float32)
        return style

    def iterate(self, iteration: int, fraction: float) -> Mapping[str, float]:
        """Train on one sentence; return its similarity to the reference by encoder."""
        for group in self._adam.param_groups:
            group["lr"] = self._weights.step * schedule(iteration, fraction)
        text = self._lines[iteration % len(self._lines)]
        samples, said = self._kokoro.synthesize(text, self._style())
        likeness = self._likenesses(samples, said.pitch, iteration)
        loss = self._weights.pull * self._away.square().mean()
        for name, similarity in likeness.similarity.items():
            loss = loss + self._weights.encoders.get(name, 1.0) * (1.0 - similarity)
        if self._listening is not None:
            misheard = self._listening(samples, iteration % len(self._lines))
            loss = loss + self._weights.words * misheard
        if self._said is not None:
            loss = loss + self._weights.rate * (self._tempo_error(*self._said).abs() - _PAUSES).clamp(min=0.0)
        loss = loss + self._weights.pitch * likeness.pitch + self._weights.colour * likeness.colour
        self._adam.zero_grad()
        loss.backward()
        if torch.isfinite(self._away.grad).all():
            torch.nn.utils.clip_grad_norm_([self._away], _CLIP)
            self._adam.step()
        return {name: float(value.detach()) for name, value in likeness.similarity.items()}

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {
            "away": self._away.detach().cpu(),
            "start": self._start.cpu(),
            "adam": self._adam.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        with torch.no_grad():
            self._away.copy_(state["away"])
            self._start.copy_(state["start"])
        self._adam.load_state_dict(state["adam"])

    def _target(self, text: EncodedText, frames: int) -> float:
        """Return the log of the target frames: the reference's, within a factor `_PACE` of the start's."""
        with torch.no_grad():
            own = float(self._kokoro.durations(text, self._start[128:]).sum())
        return math.log(min(max(float(frames), own / _PACE), own * _PACE))

    def _tempo_error(self, text: EncodedText, target: float) -> torch.Tensor:
        """Return the log of how much longer than the target this style takes for the reference's text."""
        return torch.log(self._kokoro.durations(text, self._style()[128:]).sum()) - target

    def _style(self) -> torch.Tensor:
        return self._start + self._spread * self._away


def schedule(iteration: int, fraction: float) -> float:
    """Return the share of the full learning rate: up in a few steps, down to nothing over the second half."""
    return min(1.0, (iteration + 1) / _WARM_UP) * min(1.0, (1.0 - fraction) / 0.5 + 0.03)


def stock_spread(voices: Path) -> NDArray[np.float32]:
    """Return the standard deviation of each number among the stock voices' styles, shape ``(256,)``."""
    tables = [np.fromfile(path, "<f4").reshape(-1, STYLE)[_ROWS] for path in sorted(voices.glob("*.bin"))]
    if len(tables) < 3:
        return np.full(STYLE, _TYPICAL, np.float32)
    spread: NDArray[np.float32] = np.stack([table.mean(0) for table in tables]).std(0).astype(np.float32)
    return spread
