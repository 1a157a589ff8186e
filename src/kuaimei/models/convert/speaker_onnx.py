"""Converts speaker encoders from torch checkpoints to ONNX, without torch.

Their weights are published as checkpoints only. The networks are small and plain, so the graph is
assembled here, operation by operation, from the published description; the weights keep the names
(and the layout) of the checkpoint, so that the torch version, which training needs for gradients, is
filled from the same file (`kuaimei.training.encoders`).

* GE2E: L. Wan et al., *Generalized End-to-End Loss for Speaker Verification*, 2018. Three LSTM layers;
  the weights are those of Resemblyzer (Apache-2.0).
* CAM++: H. Wang et al., *CAM++: A Fast and Efficient Network for Speaker Verification Using
  Context-Aware Masking*, 2023. Weights of 3D-Speaker (Apache-2.0).
* ERes2Net: Y. Chen et al., *An Enhanced Res2Net with Local and Global Feature Fusion for Speaker
  Verification*, 2023. Weights of 3D-Speaker (Apache-2.0).

The layer names and sizes follow 3D-Speaker's code (Apache-2.0).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import WeightsError
from kuaimei.models.onnx_writer import Graph
from kuaimei.models.torch_checkpoint import read_checkpoint

__all__ = ["convert_speaker"]

_CHECKPOINT: Final = "checkpoint.pt"


def convert_speaker(folder: Path, into: Path, progress: Callable[[float], None] = lambda _: None) -> None:
    """Write ``model.onnx`` into ``into``; takes about a second.

    Args:
        folder: Holds ``checkpoint.pt`` of one of the three encoders, which its weights identify.
        into: An existing folder.
        progress: Called with the fraction done, rising to 1.

    Raises:
        WeightsError: If it is none of them.
    """
    weights = read_checkpoint(folder / _CHECKPOINT)
    progress(0.5)
    builders: Mapping[str, Callable[[Mapping[str, NDArray[Any]], Path], None]] = {
        "lstm.weight_ih_l0": _ge2e,
        "xvector.tdnn.linear.weight": _campplus,
        "seg_1.weight": _eres2net,
    }
    build = next((one for mark, one in builders.items() if mark in weights), None)
    if build is None:
        raise WeightsError(f"{folder.name} contains no known speaker encoder")
    try:
        build(weights, into / "model.onnx")
    except KeyError as error:
        raise WeightsError(f"{folder.name} does not contain a complete speaker encoder: {error}") from error
    progress(1.0)


def _ge2e(weights: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write GE2E: mel frames ``mels`` (n, 160, 40) → ``embedding`` (n, 256), each of length 1."""
    graph = Graph("ge2e", weights)
    x = graph.node("Transpose", "mels", perm=[1, 0, 2])
    hidden = graph.shape("lstm.weight_hh_l0")[1]
    first = graph.constant(np.array([0], np.int64))
    layer = 0
    while graph.has(f"lstm.weight_ih_l{layer}"):
        parts = (f"weight_ih_l{layer}", f"weight_hh_l{layer}", f"bias_ih_l{layer}", f"bias_hh_l{layer}")
        ih, hh, bias_ih, bias_hh = (_gates(graph, f"lstm.{part}") for part in parts)
        bias = graph.node("Concat", bias_ih, bias_hh, axis=0)
        stacked = (graph.node("Unsqueeze", one, first) for one in (ih, hh, bias))
        every, last = graph.nodes("LSTM", (x, *stacked), 2, hidden_size=hidden)
        x = graph.node("Squeeze", every, graph.constant(np.array([1], np.int64)))
        layer += 1
    final = graph.node("Squeeze", last, first)
    raw = graph.node("Gemm", final, graph.weight("linear.weight"), graph.weight("linear.bias"), transB=1)
    raw = graph.node("Relu", raw)
    norm = graph.node("ReduceL2", raw, graph.constant(np.array([1], np.int64)), keepdims=1)
    out = graph.node("Div", raw, norm)
    graph.save(path, {"mels": ("n", 160, 40)}, {"embedding": (out, ("n", hidden))})


def _gates(graph: Graph, name: str) -> str:
    """Reorder LSTM gates from torch's input, forget, cell, output to ONNX's input, output, forget, cell."""
    i, f, c, o = graph.nodes("Split", [graph.weight(name)], 4, axis=0, num_outputs=4)
    return graph.node("Concat", i, o, f, c, axis=0)


def _norm(graph: Graph, x: str, name: str) -> str:
    """Add a batch normalization with the trained statistics; one in CAM++ has no scale and shift."""
    size = graph.shape(f"{name}.running_mean")
    learned = graph.has(f"{name}.weight")
    scale = graph.weight(f"{name}.weight") if learned else graph.constant(np.ones(size, np.float32))
    shift = graph.weight(f"{name}.bias") if learned else graph.constant(np.zeros(size, np.float32))
    moments = (graph.weight(f"{name}.running_mean"), graph.weight(f"{name}.running_var"))
    return graph.node("BatchNormalization", x, scale, shift, *moments, epsilon=1e-5)


def _conv(graph: Graph, x: str, name: str, stride: tuple[int, ...] = (), dilation: int = 1) -> str:
    """Add a convolution padded so that stride 1 keeps the length."""
    kernel = graph.shape(f"{name}.weight")[2:]
    bias = [graph.weight(f"{name}.bias")] if graph.has(f"{name}.bias") else []
    pads = [(size - 1) // 2 * dilation for size in kernel]
    return graph.node(
        "Conv",
        x,
        graph.weight(f"{name}.weight"),
        *bias,
        kernel_shape=kernel,
        strides=stride or (1,) * len(kernel),
        dilations=(dilation,) * len(kernel),
        pads=pads * 2,
    )


def _spectrogram(graph: Graph) -> str:
    """Reshape ``fbank`` (1, frames, 80) to an image (1, 1, 80, frames)."""
    x = graph.node("Transpose", "fbank", perm=[0, 2, 1])
    return graph.node("Unsqueeze", x, graph.constant(np.array([1], np.int64)))


def _flat(graph: Graph, x: str) -> str:
    """Merge channels and bands of an image into channels: (1, c, b, t) → (1, c·b, t)."""
    shape = graph.constant(np.array([1, -1], np.int64))
    frames = graph.node("Shape", x, start=3, end=4)
    return graph.node("Reshape", x, graph.node("Concat", shape, frames, axis=0))


def _statistics(graph: Graph, x: str, *, epsilon: float) -> str:
    """Concatenate mean and (unbiased) standard deviation over time: (1, c, t) → (1, 2c)."""
    time = graph.constant(np.array([-1], np.int64))
    mean = graph.node("ReduceMean", x, time, keepdims=1)
    off = graph.node("Sub", x, mean)
    total = graph.node("ReduceSum", graph.node("Mul", off, off), time, keepdims=0)
    frames = graph.node("Cast", graph.node("Shape", x, start=-1), to=1)
    free = graph.node("Sub", frames, graph.constant(np.ones(1, np.float32)))
    variance = graph.node("Div", total, free)
    spread = graph.node("Sqrt", graph.node("Add", variance, graph.constant(np.full(1, epsilon, np.float32))))
    return graph.node("Concat", graph.node("Squeeze", mean, time), spread, axis=1)


def _campplus(weights: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write CAM++: mel energies ``fbank`` (1, frames, 80), any length → ``embedding`` (1, 192)."""
    graph = Graph("campplus", weights)
    x = graph.node("Relu", _norm(graph, _conv(graph, _spectrogram(graph), "head.conv1"), "head.bn1"))
    for layer in ("head.layer1", "head.layer2"):
        for block, stride in (("0", 2), ("1", 1)):
            x = _residual(graph, x, f"{layer}.{block}", stride)
    x = graph.node("Relu", _norm(graph, _conv(graph, x, "head.conv2", (2, 1)), "head.bn2"))
    x = _flat(graph, x)
    x = _conv(graph, x, "xvector.tdnn.linear", (2,))
    x = graph.node("Relu", _norm(graph, x, "xvector.tdnn.nonlinear.batchnorm"))
    segments = _segments(graph, x)
    for number, dilation in ((1, 1), (2, 2), (3, 2)):
        depth = 1
        while graph.has(f"xvector.block{number}.tdnnd{depth}.linear1.weight"):
            name = f"xvector.block{number}.tdnnd{depth}"
            x = graph.node("Concat", x, _masked(graph, x, name, dilation, segments), axis=1)
            depth += 1
        transit = f"xvector.transit{number}"
        x = graph.node("Relu", _norm(graph, x, f"{transit}.nonlinear.batchnorm"))
        x = _conv(graph, x, f"{transit}.linear")
    x = graph.node("Relu", _norm(graph, x, "xvector.out_nonlinear.batchnorm"))
    x = _statistics(graph, x, epsilon=0.0)
    last = graph.constant(np.array([2], np.int64))
    x = _conv(graph, graph.node("Unsqueeze", x, last), "xvector.dense.linear")
    x = _norm(graph, x, "xvector.dense.nonlinear.batchnorm")
    size = graph.shape("xvector.dense.linear.weight")[0]
    out = graph.node("Squeeze", x, last)
    graph.save(path, {"fbank": (1, "frames", 80)}, {"embedding": (out, (1, size))})


def _residual(graph: Graph, x: str, name: str, stride: int) -> str:
    out = graph.node("Relu", _norm(graph, _conv(graph, x, f"{name}.conv1", (stride, 1)), f"{name}.bn1"))
    out = _norm(graph, _conv(graph, out, f"{name}.conv2"), f"{name}.bn2")
    if graph.has(f"{name}.shortcut.0.weight"):
        x = _norm(graph, _conv(graph, x, f"{name}.shortcut.0", (stride, 1)), f"{name}.shortcut.1")
    return graph.node("Relu", graph.node("Add", out, x))


def _segments(graph: Graph, x: str) -> str:
    """Return for each frame of ``x`` the number of its segment of 100 frames."""
    frames = graph.node("Squeeze", graph.node("Shape", x, start=2, end=3))
    start, step = graph.constant(np.array(0, np.int64)), graph.constant(np.array(1, np.int64))
    numbers = graph.node("Range", start, frames, step)
    return graph.node("Div", numbers, graph.constant(np.array(100, np.int64)))


def _masked(graph: Graph, x: str, name: str, dilation: int, segments: str) -> str:
    """Add a layer whose output is weighted by the context of its whole input and of the frame's segment."""
    x = graph.node("Relu", _norm(graph, x, f"{name}.nonlinear1.batchnorm"))
    x = _conv(graph, x, f"{name}.linear1")
    x = graph.node("Relu", _norm(graph, x, f"{name}.nonlinear2.batchnorm"))
    local = _conv(graph, x, f"{name}.cam_layer.linear_local", dilation=dilation)
    whole = graph.node("ReduceMean", x, graph.constant(np.array([-1], np.int64)), keepdims=1)
    means = graph.node("AveragePool", x, kernel_shape=[100], strides=[100], ceil_mode=1)
    context = graph.node("Add", whole, graph.node("Gather", means, segments, axis=2))
    context = graph.node("Relu", _conv(graph, context, f"{name}.cam_layer.linear1"))
    mask = graph.node("Sigmoid", _conv(graph, context, f"{name}.cam_layer.linear2"))
    return graph.node("Mul", local, mask)


def _eres2net(weights: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write ERes2Net: mel energies ``fbank`` (1, frames, 80), any length → ``embedding`` (1, 192)."""
    graph = Graph("eres2net", weights)
    x = graph.node("Relu", _norm(graph, _conv(graph, _spectrogram(graph), "conv1"), "bn1"))
    outs: list[str] = []
    for layer, stride in ((1, 1), (2, 2), (3, 2), (4, 2)):
        block = 0
        while graph.has(f"layer{layer}.{block}.conv1.weight"):
            x = _res2(graph, x, f"layer{layer}.{block}", stride if block == 0 else 1)
            block += 1
        outs.append(x)
    fused = outs[0]
    for number, out in ((1, outs[1]), (2, outs[2]), (3, outs[3])):
        down = _conv(graph, fused, f"layer{number}_downsample", (2, 2))
        fused = _fuse(graph, out, down, f"fuse_mode{'1234'[: number + 1]}")
    stats = _statistics(graph, _flat(graph, fused), epsilon=1e-8)
    out = graph.node("Gemm", stats, graph.weight("seg_1.weight"), graph.weight("seg_1.bias"), transB=1)
    size = graph.shape("seg_1.weight")[0]
    graph.save(path, {"fbank": (1, "frames", 80)}, {"embedding": (out, (1, size))})


def _clipped(graph: Graph, x: str) -> str:
    """Add this network's rectifier, which clips at 20."""
    return graph.node("Clip", x, graph.constant(np.array(0.0, "f4")), graph.constant(np.array(20.0, "f4")))


def _res2(graph: Graph, x: str, name: str, stride: int) -> str:
    steps = (stride, stride)
    out = _clipped(graph, _norm(graph, _conv(graph, x, f"{name}.conv1", steps), f"{name}.bn1"))
    halves = graph.nodes("Split", [out], 2, axis=1, num_outputs=2)
    done: list[str] = []
    for number, half in enumerate(halves):
        if number and graph.has(f"{name}.fuse_models.{number - 1}.local_att.0.weight"):
            half = _fuse(graph, done[-1], half, f"{name}.fuse_models.{number - 1}")
        elif number:
            half = graph.node("Add", done[-1], half)
        half = _conv(graph, half, f"{name}.convs.{number}")
        done.append(_clipped(graph, _norm(graph, half, f"{name}.bns.{number}")))
    out = _norm(graph, _conv(graph, graph.node("Concat", *done, axis=1), f"{name}.conv3"), f"{name}.bn3")
    if graph.has(f"{name}.shortcut.0.weight"):
        x = _norm(graph, _conv(graph, x, f"{name}.shortcut.0", steps), f"{name}.shortcut.1")
    return _clipped(graph, graph.node("Add", out, x))


def _fuse(graph: Graph, x: str, y: str, name: str) -> str:
    """Add attentional feature fusion: weights ``x`` against ``y`` at each position."""
    a = _norm(
        graph, _conv(graph, graph.node("Concat", x, y, axis=1), f"{name}.local_att.0"), f"{name}.local_att.1"
    )
    a = graph.node("Mul", a, graph.node("Sigmoid", a))
    a = _norm(graph, _conv(graph, a, f"{name}.local_att.3"), f"{name}.local_att.4")
    share = graph.node("Tanh", a)
    one = graph.constant(np.ones(1, np.float32))
    return graph.node(
        "Add",
        graph.node("Mul", x, graph.node("Add", one, share)),
        graph.node("Mul", y, graph.node("Sub", one, share)),
    )
