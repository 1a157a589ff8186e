"""Kokoro's weights from its ONNX file under the names of its torch modules.

The export folded weight normalization into plain tensors and gave most of them names of its own: a
convolution's weight is found by the name of its bias or of its node, a matrix by its node (transposed), an
LSTM by its node with the gates in another order. Biases, affine layers and embeddings kept their names.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import WeightsError
from kuaimei.models.onnx_reader import Node, OnnxFile, read_onnx

__all__ = ["KokoroWeights", "read_kokoro"]

_GATES: Final = (0, 2, 3, 1)
"""Positions of torch's gates (input, forget, cell, output) in ONNX's order (input, output, forget, cell)."""
_FROM_PREDICTOR: Final = re.compile(r"^(F0|N|F0_proj|N_proj|shared)(?=\.|$)")
_REPEATED: Final = re.compile(r"_\d+$")


@dataclass(frozen=True, slots=True)
class KokoroWeights:
    """All weights of Kokoro.

    Attributes:
        tensors: By torch name, in torch's layout; read-only views of the mapped file where that is possible.
        initialisers: Torch name to ONNX initialiser, for tensors with the same layout in both: only these can
            be given as a difference to the stock weights.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    initialisers: Mapping[str, str]


def read_kokoro(path: Path) -> KokoroWeights:
    """Read the fp32 export at ``path``; takes a fraction of a second.

    Raises:
        WeightsError: If it is not Kokoro.
    """
    file = read_onnx(path)
    tensors: dict[str, NDArray[np.float32]] = {}
    initialisers: dict[str, str] = {}
    for name, tensor in file.tensors.items():
        if tensor.dtype == np.float32 and name.startswith(("encoder.", "decoder.")):
            tensors[_torch_name(name)] = tensor
            initialisers[_torch_name(name)] = name
    for node in file.nodes:
        for target, source, tensor in _weights(node, file):
            if target not in tensors:
                tensors[target] = tensor
                if source:
                    initialisers[target] = source
    if "decoder.generator.conv_post.weight" not in tensors or "predictor.shared.weight_ih_l0" not in tensors:
        raise WeightsError(f"{path.name} is not Kokoro's fp32 network; run: kuaimei models pull kokoro")
    return KokoroWeights(tensors, initialisers)


def _weights(node: Node, file: OnnxFile) -> Iterator[tuple[str, str, NDArray[Any]]]:
    """Yield torch name, ONNX name (empty if the layout differs) and tensor of a node's weights."""
    scope = _torch_name(node.name.rpartition("/")[0].strip("/").replace("/", "."))
    given = [file.tensors.get(name) for name in node.inputs]
    weight = given[1] if len(given) > 1 else None
    if weight is None or weight.dtype != np.float32:
        return
    if node.op_type in ("Conv", "ConvTranspose"):
        bias = node.inputs[2] if len(node.inputs) > 2 else ""
        name = _torch_name(bias).removesuffix(".bias") if bias.endswith(".bias") else scope
        yield f"{name}.weight", node.inputs[1], weight
    elif node.op_type == "MatMul":
        yield f"{_REPEATED.sub('', scope)}.weight", "", np.ascontiguousarray(weight.T)
    elif node.op_type == "LSTM":
        recurrent, bias_both = given[2], given[3]
        if recurrent is None or bias_both is None:
            return
        for direction, suffix in enumerate(("", "_reverse")):
            bias_in, bias_hidden = np.split(bias_both[direction], 2)
            yield f"{scope}.weight_ih_l0{suffix}", "", _gates(weight[direction])
            yield f"{scope}.weight_hh_l0{suffix}", "", _gates(recurrent[direction])
            yield f"{scope}.bias_ih_l0{suffix}", "", _gates(bias_in)
            yield f"{scope}.bias_hh_l0{suffix}", "", _gates(bias_hidden)


def _gates(tensor: NDArray[Any]) -> NDArray[Any]:
    parts = np.split(tensor, 4)
    return np.concatenate([parts[at] for at in _GATES])


def _torch_name(name: str) -> str:
    name = re.sub(r"^(encoder\.|decoder\.(?=decoder\.))", "", name)
    return _FROM_PREDICTOR.sub(r"predictor.\1", name)
