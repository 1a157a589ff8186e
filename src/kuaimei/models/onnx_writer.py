"""Writes an ONNX file without the ONNX library: the counterpart of `kuaimei.models.onnx_reader`.

Protobuf is a list of (field number, value) pairs; only the messages that a network of plain float
operations needs are here. The numbers are those of ``onnx.proto``.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Attribute", "Graph"]

Attribute: TypeAlias = int | float | str | Sequence[int]

_OPSET: Final = 20
_IR_VERSION: Final = 9
_DTYPES: Final = {"float32": 1, "int64": 7}
_VARINT, _LENGTH, _FIXED32 = 0, 2, 5

_ATTRIBUTE_TYPES: Final = {"f": 1, "i": 2, "s": 3, "ints": 7}


class Graph:
    """A network under construction.

    Args:
        name: Name of the network, stored in the file.
        weights: Tensors that nodes may name as inputs; float64 becomes float32, and only those that are
            used are written to the file, under the same names.
    """

    def __init__(self, name: str, weights: Mapping[str, NDArray[Any]]) -> None:
        self.name = name
        self._weights = weights
        self._used: dict[str, NDArray[Any]] = {}
        self._nodes: list[bytes] = []
        self._count = 0

    def weight(self, name: str) -> str:
        """Return ``name`` for use as an input of a node; KeyError if there is no such weight."""
        self._used.setdefault(name, self._weights[name])
        return name

    def has(self, name: str) -> bool:
        """Return True if there is a weight of that name."""
        return name in self._weights

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a weight."""
        return self._weights[name].shape

    def constant(self, value: NDArray[Any]) -> str:
        """Add a tensor that is not a weight; return its name for use as an input of a node."""
        name = f"constant_{len(self._used)}"
        self._used[name] = value
        return name

    def node(self, operation: str, *inputs: str, **attributes: Attribute) -> str:
        """Add ``operation``; return the name of its only output."""
        return self.nodes(operation, inputs, 1, **attributes)[0]

    def nodes(
        self, operation: str, inputs: Iterable[str], outputs: int, **attributes: Attribute
    ) -> tuple[str, ...]:
        """Add ``operation`` with several outputs; return their names."""
        names = tuple(f"{operation.lower()}_{self._count + 1}.{number}" for number in range(outputs))
        self._add(operation, inputs, names, attributes)
        return names

    def _add(
        self, operation: str, inputs: Iterable[str], outputs: Iterable[str], given: Mapping[str, Attribute]
    ) -> None:
        self._count += 1
        self._nodes.append(
            b"".join(_text(1, one) for one in inputs)
            + b"".join(_text(2, one) for one in outputs)
            + _text(3, f"{operation}_{self._count}")
            + _text(4, operation)
            + b"".join(_bytes(5, _attribute(key, value)) for key, value in given.items())
        )

    def save(
        self,
        path: Path,
        inputs: Mapping[str, Sequence[int | str]],
        outputs: Mapping[str, tuple[str, Sequence[int | str]]],
    ) -> None:
        """Write the network; nothing can be added afterwards.

        Args:
            path: Path of the file.
            inputs: Shape of each float32 input by name; a string is a variable length.
            outputs: For each output, by name, its source tensor and shape.
        """
        for name, (source, _) in outputs.items():
            self._add("Identity", [source], [name], {})
        graph = (
            b"".join(_bytes(1, node) for node in self._nodes)
            + _text(2, self.name)
            + b"".join(_bytes(5, _tensor(name, value)) for name, value in self._used.items())
            + b"".join(_bytes(11, _value_info(name, shape)) for name, shape in inputs.items())
            + b"".join(_bytes(12, _value_info(name, shape)) for name, (_, shape) in outputs.items())
        )
        opset = _text(1, "") + _number(2, _OPSET)
        model = _number(1, _IR_VERSION) + _text(2, "kuaimei") + _bytes(7, graph) + _bytes(8, opset)
        path.write_bytes(model)


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, float):
        kind, body = "f", _tag(2, _FIXED32) + struct.pack("<f", value)
    elif isinstance(value, int):
        kind, body = "i", _number(3, value)
    elif isinstance(value, str):
        kind, body = "s", _text(4, value)
    else:
        kind, body = "ints", b"".join(_number(8, one) for one in value)
    return _text(1, name) + body + _number(20, _ATTRIBUTE_TYPES[kind])


def _tensor(name: str, value: NDArray[Any]) -> bytes:
    plain = np.ascontiguousarray(value, np.float32 if value.dtype.kind == "f" else np.int64)
    return (
        b"".join(_number(1, size) for size in value.shape)
        + _number(2, _DTYPES[plain.dtype.name])
        + _text(8, name)
        + _bytes(9, plain.astype(plain.dtype.newbyteorder("<"), copy=False).tobytes())
    )


def _value_info(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(_bytes(1, _number(1, one) if isinstance(one, int) else _text(2, one)) for one in shape)
    tensor = _number(1, _DTYPES["float32"]) + _bytes(2, sizes)
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _bytes(number: int, value: bytes) -> bytes:
    return _tag(number, _LENGTH) + _varint(len(value)) + value


def _number(number: int, value: int) -> bytes:
    return _tag(number, _VARINT) + _varint(value & (1 << 64) - 1)


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
