"""Changes to frozen weights that are thin by construction (Hu et al. 2021), so that a voice stays small."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from kuaimei.models.weight_delta import LowRankFactor, WeightDelta

__all__ = ["LoraAdapter"]


class LoraAdapter:
    """For each weight with two or more dimensions two thin matrices, for each vector a vector.

    Args:
        stock: The weights to change, by torch name.
        rank: Of the matrices; less where a weight is itself thinner.
        seed: Of the random half; the other half begins at 0, and with it the change.
    """

    def __init__(self, stock: Mapping[str, torch.Tensor], rank: int, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        self._stock = dict(stock)
        self._left: dict[str, torch.Tensor] = {}
        self._right: dict[str, torch.Tensor] = {}
        for name, weight in self._stock.items():
            rows, columns = weight.shape[0], weight[0].numel()
            inner = min(rank, rows, columns)
            right = torch.ones(1, 1)
            if weight.dim() > 1:
                right = torch.randn(inner, columns, generator=random) / inner**0.5
            self._left[name] = torch.zeros(rows, inner, device=weight.device, requires_grad=True)
            self._right[name] = right.to(weight.device).requires_grad_(weight.dim() > 1)

    @property
    def names(self) -> tuple[str, ...]:
        """The weights that change."""
        return tuple(self._stock)

    @property
    def matrices(self) -> list[torch.Tensor]:
        """What learns of the changes to matrices."""
        deep = [name for name, weight in self._stock.items() if weight.dim() > 1]
        return [self._left[name] for name in deep] + [self._right[name] for name in deep]

    @property
    def vectors(self) -> list[torch.Tensor]:
        """What learns of the changes to vectors."""
        return [self._left[name] for name, weight in self._stock.items() if weight.dim() == 1]

    def factors(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """What to multiply for each change, differentiable."""
        return {name: (self._left[name], self._right[name]) for name in self._stock}

    def weight_delta(self, initialisers: Mapping[str, str]) -> WeightDelta:
        """The change by ONNX initialiser, given that of each name."""

        def plain(tensor: torch.Tensor) -> Any:
            return tensor.detach().cpu().numpy()

        changes = {
            initialisers[name]: LowRankFactor(plain(self._left[name]), plain(self._right[name]))
            for name in self._stock
        }
        return WeightDelta(changes)

    def state(self) -> dict[str, dict[str, torch.Tensor]]:
        """For a checkpoint."""
        return {
            "left": {name: tensor.detach().cpu() for name, tensor in self._left.items()},
            "right": {name: tensor.detach().cpu() for name, tensor in self._right.items()},
        }

    def restore(self, state: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        """Be as when `state` was asked."""
        with torch.no_grad():
            for own, kept in ((self._left, state["left"]), (self._right, state["right"])):
                _copy(own, kept)


def _copy(own: Mapping[str, torch.Tensor], kept: Mapping[str, torch.Tensor]) -> None:
    names: Iterable[str] = own.keys()
    for name in names:
        own[name].copy_(kept[name])
