"""A voice's own decoder, stored as a small delta to Kokoro's stock weights.

For each trained weight the file has two thin matrices whose product is added to it (Hu et al. 2021,
"LoRA"), or for vectors the difference itself, all in half precision: a few megabytes instead of 150.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import WeightsError

__all__ = ["LowRankFactor", "WeightDelta", "load_difference", "save_difference"]

_FORMAT: Final = 1
_LARGEST: Final = 64 << 20
"""Maximum bytes of the file's arrays: the file may come from a folder that others can write to."""


@dataclass(frozen=True, slots=True)
class LowRankFactor:
    """Low-rank change that is added to one weight.

    Attributes:
        left: Shape ``(rows, rank)``; for a vector's change ``(n, 1)``.
        right: Shape ``(rank, columns)``; for a vector's change ``(1, 1)``.
    """

    left: NDArray[np.float32]
    right: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WeightDelta:
    """Changes that are added to the stock weights.

    Attributes:
        changes: Change of each ONNX initializer of Kokoro's fp32 network, by its name.
    """

    changes: Mapping[str, LowRankFactor]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the initializers that change."""
        return tuple(self.changes)

    def apply(self, name: str, stock: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the voice's own weight in place of ``stock``, or ``stock`` itself if it is unchanged.

        Raises:
            WeightsError: If the delta was trained for weights of another shape.
        """
        change = self.changes.get(name)
        if change is None:
            return stock
        added = change.left @ change.right
        if added.size != stock.size or len(added) != len(stock):
            raise WeightsError(
                f"the voice was trained for another version of Kokoro ({name} differs); train it again"
            )
        changed: NDArray[np.float32] = stock + added.reshape(stock.shape)
        return changed


def save_difference(file: IO[bytes], difference: WeightDelta) -> None:
    """Write the delta as ``.npz``."""
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(_FORMAT),
        "names": np.array(difference.names, dtype=np.str_),
    }
    for at, change in enumerate(difference.changes.values()):
        arrays[f"{at}.left"] = change.left.astype(np.float16)
        arrays[f"{at}.right"] = change.right.astype(np.float16)
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type] # its stub takes the names for options


def load_difference(path: Path) -> WeightDelta:
    """Read a file written by `save_difference`.

    Raises:
        WeightsError: If it is missing, damaged or of another format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _LARGEST:
                raise ValueError("too large")
        with np.load(path, allow_pickle=False) as arrays:
            if int(arrays["format"]) != _FORMAT:
                raise ValueError("unknown format")
            changes = {
                str(name): _change(arrays[f"{at}.left"], arrays[f"{at}.right"])
                for at, name in enumerate(arrays["names"])
            }
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path.name} is not a trained decoder ({error}); train the voice again"
        ) from error
    return WeightDelta(changes)


def _change(left: NDArray[Any], right: NDArray[Any]) -> LowRankFactor:
    left, right = left.astype(np.float32), right.astype(np.float32)
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
        raise ValueError("the shapes of its matrices do not match")
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise ValueError("it contains numbers that are not finite")
    return LowRankFactor(left, right)
