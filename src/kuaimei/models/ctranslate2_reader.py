"""Reads the weights of a CTranslate2 ``model.bin``; the library itself does not expose them.

The layout is that of ``ModelSpec._serialize`` in its Python package: a version, the name and revision of the
specification, each variable with its shape, type and bytes, then aliases of some variables.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import WeightsError

__all__ = ["read_ct2"]

_VERSION: Final = 6
_DTYPES: Final = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_SCALE: Final = "_scale"


def read_ct2(path: Path) -> Mapping[str, NDArray[Any]]:
    """Return the variables by name, views of the mapped file; 8-bit matrices are dequantized to float32.

    Raises:
        WeightsError: If the file is missing, damaged or of another version.
    """
    try:
        content = np.memmap(path, np.uint8, "r")
        variables = _read(content)
    except (OSError, ValueError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise WeightsError(f"{path.name} cannot be read ({error}); run: kuaimei models verify") from error
    scales = {name for name in variables if name.endswith(_SCALE)}
    for name in scales:
        matrix = name.removesuffix(_SCALE)
        rows = variables[name].reshape(-1, *(1,) * (variables[matrix].ndim - 1))
        variables[matrix] = variables[matrix].astype(np.float32) / rows
    return {name: variables[name] for name in variables if name not in scales}


def _read(content: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    at = 0

    def number(form: str) -> int:
        nonlocal at
        size = struct.calcsize(f"<{form}")
        (value,) = struct.unpack(f"<{form}", content[at : at + size].tobytes())
        at += size
        return int(value)

    def text() -> str:
        nonlocal at
        length = number("H")
        at += length
        return content[at - length : at - 1].tobytes().decode()  # it ends with a zero byte

    if (version := number("I")) != _VERSION:
        raise ValueError(f"version {version} of the format is not supported")
    text()
    number("I")
    variables: dict[str, NDArray[Any]] = {}
    for _ in range(number("I")):
        name = text()
        shape = tuple(number("I") for _ in range(number("B")))
        dtype, size = _DTYPES[number("B")], number("I")
        if at + size > len(content):
            raise ValueError("the file is truncated")
        variables[name] = content[at : at + size].view(dtype).reshape(shape)
        at += size
    for _ in range(number("I")):
        alias = text()
        variables[alias] = variables[text()]
    return variables
