"""Low-rank changes to frozen weights (Hu et al. 2021), which keep a voice's file small."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from kuaimei.models.weight_delta import LowRankFactor, WeightDelta

__all__ = ["LoraAdapter"]


class LoraAdapter:
    """Low-rank change: two thin matrices per weight of two or more dimensions, a vector per vector.

    Args:
        stock: The weights to change, by torch name.
        rank: Rank of the matrices; lower where a weight itself has fewer rows or columns.
        seed: Seed of the random half; the other half starts at 0, and with it the change.
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
        """Names of the weights that change."""
        return tuple(self._stock)

    @property
    def matrices(self) -> list[torch.Tensor]:
        """Trainable tensors of the changes to matrices."""
        deep = [name for name, weight in self._stock.items() if weight.dim() > 1]
        return [self._left[name] for name in deep] + [self._right[name] for name in deep]

    @property
    def vectors(self) -> list[torch.Tensor]:
        """Trainable tensors of the changes to vectors."""
        return [self._left[name] for name, weight in self._stock.items() if weight.dim() == 1]

    def factors(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Return the two factors of each change, differentiable."""
        return {name: (self._left[name], self._right[name]) for name in self._stock}

    def weight_delta(self, initialisers: Mapping[str, str]) -> WeightDelta:
        """Return the change by ONNX initialiser, given the initialiser of each name."""

        def plain(tensor: torch.Tensor) -> Any:
            return tensor.detach().cpu().numpy()

        changes = {
            initialisers[name]: LowRankFactor(plain(self._left[name]), plain(self._right[name]))
            for name in self._stock
        }
        return WeightDelta(changes)

    def state(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return the state for a checkpoint."""
        return {
            "left": {name: tensor.detach().cpu() for name, tensor in self._left.items()},
            "right": {name: tensor.detach().cpu() for name, tensor in self._right.items()},
        }

    def restore(self, state: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        """Restore a state returned by `state`."""
        with torch.no_grad():
            for own, kept in ((self._left, state["left"]), (self._right, state["right"])):
                _copy(own, kept)


def _copy(own: Mapping[str, torch.Tensor], kept: Mapping[str, torch.Tensor]) -> None:
    names: Iterable[str] = own.keys()
    for name in names:
        own[name].copy_(kept[name])
