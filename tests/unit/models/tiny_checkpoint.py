"""Checkpoints as torch writes them, in both of its forms, written without torch."""

import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C


class FloatStorage:
    """Stands for ``torch.FloatStorage``: a pickle names classes by module and name only."""


def _rebuild_tensor_v2(*_: object) -> None:
    raise AssertionError("only named")


FloatStorage.__module__ = "torch"
_rebuild_tensor_v2.__module__ = "torch._utils"


class Tensor:
    """Pickled as a tensor of torch is."""

    def __init__(self, key: str, value: NDArray[np.float32]) -> None:
        self.key, self.value = key, value

    def __reduce__(self) -> tuple[Any, ...]:
        stride = tuple(step // 4 for step in self.value.strides)
        return _rebuild_tensor_v2, (Storage(self), 0, self.value.shape, stride, False, OrderedDict())


class Storage:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        if isinstance(obj, Storage):
            return ("storage", FloatStorage, obj.tensor.key, "cpu", obj.tensor.value.size)
        return None


@contextmanager
def _torch() -> Iterator[None]:
    names = ("torch", "torch._utils")
    before = {name: sys.modules.get(name) for name in names}
    for name in names:
        sys.modules[name] = ModuleType(name)
    vars(sys.modules["torch"]).update(FloatStorage=FloatStorage)
    vars(sys.modules["torch._utils"]).update(_rebuild_tensor_v2=_rebuild_tensor_v2)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def _pickled(document: object) -> bytes:
    out = io.BytesIO()
    with _torch():
        _Pickler(out, protocol=2).dump(document)
    return out.getvalue()


def write_zipped(path: Path, weights: Mapping[str, NDArray[np.float32]], **around: object) -> None:
    """As torch has written since 1.6; with ``around``, the weights are its ``model_state``."""
    tensors = {name: Tensor(str(n), value) for n, (name, value) in enumerate(weights.items())}
    document: object = {"model_state": tensors, **around} if around else tensors
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(document))
        for tensor in tensors.values():
            archive.writestr(f"archive/data/{tensor.key}", tensor.value.tobytes("A"))


def write_legacy(path: Path, weights: Mapping[str, NDArray[np.float32]], **around: object) -> None:
    """As torch wrote before."""
    tensors = {name: Tensor(str(n), value) for n, (name, value) in enumerate(weights.items())}
    document = {"model_state": tensors, **around} if around else tensors
    keys = [tensor.key for tensor in tensors.values()]
    with path.open("wb") as out:
        for one in (MAGIC, 1001, {"little_endian": True}):
            out.write(_pickled(one))
        out.write(_pickled(document))
        out.write(_pickled(keys))
        for tensor in tensors.values():
            out.write(tensor.value.size.to_bytes(8, "little") + tensor.value.tobytes("A"))
