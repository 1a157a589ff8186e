"""Reads the weights of an ONNX file without the ONNX library.

An ONNX file is one protobuf message; only four of its types matter here (ModelProto, GraphProto,
NodeProto, TensorProto of ``onnx.proto``). The file is memory-mapped and tensors are views of it, so
that a model of any size is read in a few megabytes.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import WeightsError

__all__ = ["Node", "OnnxFile", "read_onnx"]

_DTYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}
"""TensorProto.DataType → numpy; the types that occur in weights."""

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP_TYPE, _NODE_ATTRIBUTE = 1, 2, 3, 4, 5
_ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSOR = 6, 5
_TENSOR_DIMS, _TENSOR_DTYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_TENSOR_FLOATS, _TENSOR_INT32S, _TENSOR_INT64S = 4, 5, 7

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the graph (or of a branch of it)."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """Contents of an ONNX file, including the branches of ``If``.

    Attributes:
        tensors: Constant tensors by name; views of the mapped file where the file stores raw bytes.
        nodes: Operations in the file's order.
    """

    tensors: dict[str, NDArray[Any]]
    nodes: tuple[Node, ...]


def read_onnx(path: Path) -> OnnxFile:
    """Map ``path`` and index its tensors and nodes.

    Raises:
        WeightsError: If it is not an ONNX file.
    """
    tensors: dict[str, NDArray[Any]] = {}
    nodes: list[Node] = []
    try:
        with path.open("rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        for number, value in _fields(view):
            if number == _MODEL_GRAPH:
                _graph(_bytes(value), tensors, nodes)
    except (ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path.name} is not a readable ONNX file ({error})") from error
    if not tensors:
        raise WeightsError(f"{path.name} is not an ONNX file that contains weights")
    return OnnxFile(tensors, tuple(nodes))


def _graph(data: memoryview, tensors: dict[str, NDArray[Any]], nodes: list[Node]) -> None:
    for number, value in _fields(data):
        if number == _GRAPH_INITIALIZER:
            name, tensor = _tensor(_bytes(value))
            tensors[name] = tensor
        elif number == _GRAPH_NODE:
            _node(_bytes(value), tensors, nodes)


def _node(data: memoryview, tensors: dict[str, NDArray[Any]], nodes: list[Node]) -> None:
    inputs: list[str] = []
    outputs: list[str] = []
    name = op_type = ""
    constants: list[NDArray[Any]] = []
    for number, value in _fields(data):
        if number == _NODE_INPUT:
            inputs.append(_text(value))
        elif number == _NODE_OUTPUT:
            outputs.append(_text(value))
        elif number == _NODE_NAME:
            name = _text(value)
        elif number == _NODE_OP_TYPE:
            op_type = _text(value)
        elif number == _NODE_ATTRIBUTE:
            for inner, part in _fields(_bytes(value)):
                if inner == _ATTRIBUTE_GRAPH:
                    _graph(_bytes(part), tensors, nodes)
                elif inner == _ATTRIBUTE_TENSOR:
                    constants.append(_tensor(_bytes(part))[1])
    if op_type == "Constant" and constants and outputs:
        tensors[outputs[0]] = constants[0]
    else:
        nodes.append(Node(name, op_type, tuple(inputs), tuple(outputs)))


def _tensor(data: memoryview) -> tuple[str, NDArray[Any]]:
    dims: list[int] = []
    name = ""
    dtype = 0
    raw: memoryview | None = None
    loose: list[float] = []
    for number, value in _fields(data):
        if number == _TENSOR_DIMS:
            dims.extend([value] if isinstance(value, int) else _varints(value))
        elif number == _TENSOR_DTYPE and isinstance(value, int):
            dtype = value
        elif number == _TENSOR_NAME:
            name = _text(value)
        elif number == _TENSOR_RAW:
            raw = _bytes(value)
        elif number == _TENSOR_FLOATS and not isinstance(value, int):
            loose.extend(np.frombuffer(value, "<f4").tolist())
        elif number in (_TENSOR_INT32S, _TENSOR_INT64S):
            integers = [value] if isinstance(value, int) else _varints(value)
            loose.extend(i - (1 << 64) if i >> 63 else i for i in integers)  # two's complement
    if dtype not in _DTYPES:
        return name, np.zeros(0, dtype=np.uint8)  # strings and the like are not weights
    kind = np.dtype(_DTYPES[dtype])
    flat = np.frombuffer(raw, kind) if raw is not None else np.array(loose, dtype=kind)
    return name, flat.reshape(dims)


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield field number and value of each field of a protobuf message, in order."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        else:
            if wire == _LENGTH:
                length, at = _varint(data, at)
            elif wire == _FIXED64:
                length = 8
            elif wire == _FIXED32:
                length = 4
            else:
                raise ValueError(f"unsupported wire type {wire}")
            if at + length > end:
                raise ValueError("the data is truncated")
            yield number, data[at : at + length]
            at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("varint too long")


def _varints(data: memoryview) -> list[int]:
    values = []
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a message was expected")
    return value


def _text(value: int | memoryview) -> str:
    return str(_bytes(value), "utf-8")
