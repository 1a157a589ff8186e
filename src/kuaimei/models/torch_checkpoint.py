"""Reads the weights of a torch checkpoint without torch, and without executing code from it.

A checkpoint is a pickle that names storages, followed by the storages' bytes: since torch 1.6 in a
zip archive, before that one after another in one file. A pickle may call any function; only the few that a
dictionary of tensors needs are allowed here, and everything else is refused.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import WeightsError

__all__ = ["read_checkpoint"]

_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
"""First object of a checkpoint in the older format."""

_STORAGES: Final = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}

_WRAPPERS: Final = ("state_dict", "model_state", "model")
"""Keys under which training scripts store the weights among other data."""


class _Storage:
    """Numbers that tensors are views of; their bytes may follow the pickle that names them."""

    def __init__(self, kind: str, count: int) -> None:
        self.dtype = np.dtype(_STORAGES[kind])
        self.count = count
        self.data: NDArray[Any] | None = None

    def fill(self, raw: bytes) -> None:
        if len(raw) != self.count * self.dtype.itemsize:
            raise ValueError("a storage is truncated")
        self.data = np.frombuffer(raw, self.dtype)


class _Tensor:
    """View of a storage, created once its bytes have been read."""

    def __init__(self, storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]):
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride

    def array(self) -> NDArray[Any]:
        data = self.storage.data
        if data is None:
            raise ValueError("a tensor has no storage")
        if math.prod(self.shape) > len(data):
            raise ValueError("a tensor reaches beyond its storage")
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        if min((self.offset, *self.shape, *self.stride), default=0) < 0 or last >= max(len(data), 1):
            raise ValueError("a tensor reaches beyond its storage")
        item = data.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            data[self.offset :], self.shape, tuple(step * item for step in self.stride), writeable=False
        )
        return np.array(view)


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(stride))


def _parameter(data: _Tensor, *_: object) -> _Tensor:
    return data


_KNOWN: Final[Mapping[tuple[str, str], Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
} | {("torch", kind): kind for kind in _STORAGES}


class _Unpickler(pickle.Unpickler):
    """Unpickler that allows only tensors and dictionaries."""

    def __init__(self, file: io.BufferedIOBase, storage: Callable[[str, str, int], _Storage]) -> None:
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which weights do not need")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        word, kind, key, _, count, *_ = pid
        if word != "storage":
            raise pickle.UnpicklingError(f"it refers to a {word}")
        return self._storage(str(kind), str(key), int(count))


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of the checkpoint at ``path`` by name.

    Other data of training scripts (optimizer, step, …) is ignored.

    Raises:
        WeightsError: If it is not a checkpoint, or contains more than tensors.
    """
    try:
        with path.open("rb") as file:
            document = _zipped(path) if zipfile.is_zipfile(path) else _legacy(file)
        while (inner := next((key for key in _WRAPPERS if _is_mapping(document, key)), None)) is not None:
            document = document[inner]
        tensors = {str(name): value.array() for name, value in document.items() if isinstance(value, _Tensor)}
    except WeightsError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise WeightsError(f"{path.name} is not a readable checkpoint ({error})") from error
    if not tensors:
        raise WeightsError(f"{path.name} is not a checkpoint that contains weights")
    return tensors


def _is_mapping(document: Any, key: str) -> bool:
    return isinstance(document.get(key), Mapping)


def _zipped(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        index = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        folder = index.removesuffix("data.pkl")
        storages: dict[str, _Storage] = {}

        def storage(kind: str, key: str, count: int) -> _Storage:
            if key not in storages:
                storages[key] = _Storage(kind, count)
                storages[key].fill(archive.read(f"{folder}data/{key}"))
            return storages[key]

        return _Unpickler(io.BytesIO(archive.read(index)), storage).load()


def _legacy(file: io.BufferedReader) -> Any:
    storages: dict[str, _Storage] = {}

    def storage(kind: str, key: str, count: int) -> _Storage:
        return storages.setdefault(key, _Storage(kind, count))

    def load() -> Any:
        return _Unpickler(file, storage).load()

    if load() != _LEGACY_MAGIC:
        raise ValueError("it does not start like a checkpoint")
    load()  # the protocol's version
    load()  # byte order and sizes of the machine that wrote it: the same everywhere for decades
    document = load()
    for key in load():
        count = int.from_bytes(file.read(8), "little")
        one = storages[key]
        if count != one.count:
            raise ValueError("a storage does not have the size that its tensors require")
        one.fill(file.read(count * one.dtype.itemsize))
    return document
