"""Speaker encoders with random weights, some of them small, under the names of the real checkpoints."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]
_rng = np.random.default_rng


def ge2e() -> Weights:
    rng = _rng(1)

    def some(*shape: int) -> NDArray[np.float32]:
        return rng.uniform(-0.12, 0.12, shape).astype(np.float32)

    weights = {"similarity_weight": some(1)}
    for layer, size in enumerate((40, 256, 256)):
        weights |= {
            f"lstm.weight_ih_l{layer}": some(1024, size),
            f"lstm.weight_hh_l{layer}": some(1024, 256),
            f"lstm.bias_ih_l{layer}": some(1024),
            f"lstm.bias_hh_l{layer}": some(1024),
        }
    return weights | {"linear.weight": some(256, 256), "linear.bias": some(256)}


def _conv(
    rng: np.random.Generator, name: str, *shape: int, bias: bool = False
) -> Iterator[tuple[str, object]]:
    fan = np.prod(shape[1:])
    yield f"{name}.weight", rng.normal(size=shape) / np.sqrt(fan)
    if bias:
        yield f"{name}.bias", rng.normal(size=shape[0]) * 0.1


def _norm(
    rng: np.random.Generator, name: str, size: int, affine: bool = True
) -> Iterator[tuple[str, object]]:
    if affine:
        yield f"{name}.weight", rng.uniform(0.8, 1.2, size)
        yield f"{name}.bias", rng.normal(size=size) * 0.1
    yield f"{name}.running_mean", rng.normal(size=size) * 0.1
    yield f"{name}.running_var", rng.uniform(0.8, 1.2, size)


def _floats(pairs: Iterator[tuple[str, object]]) -> Weights:
    return {name: np.asarray(value, np.float32) for name, value in pairs}


def campplus() -> Weights:
    """Four channels and one layer a block; 80 bands as in the real one."""
    return _floats(_campplus(_rng(2)))


def _campplus(rng: np.random.Generator) -> Iterator[tuple[str, object]]:
    c = 4
    yield from _conv(rng, "head.conv1", c, 1, 3, 3)
    yield from _norm(rng, "head.bn1", c)
    for layer in ("head.layer1", "head.layer2"):
        for place in ("0.{}1", "0.{}2", "1.{}1", "1.{}2"):
            yield from _conv(rng, f"{layer}.{place.format('conv')}", c, c, 3, 3)
            yield from _norm(rng, f"{layer}.{place.format('bn')}", c)
        yield from _conv(rng, f"{layer}.0.shortcut.0", c, c, 1, 1)
        yield from _norm(rng, f"{layer}.0.shortcut.1", c)
    yield from _conv(rng, "head.conv2", c, c, 3, 3)
    yield from _norm(rng, "head.bn2", c)
    yield from _conv(rng, "xvector.tdnn.linear", 8, c * 10, 5)
    yield from _norm(rng, "xvector.tdnn.nonlinear.batchnorm", 8)
    size = 8
    for block in (1, 2, 3):
        name = f"xvector.block{block}.tdnnd1"
        yield from _norm(rng, f"{name}.nonlinear1.batchnorm", size)
        yield from _conv(rng, f"{name}.linear1", 6, size, 1)
        yield from _norm(rng, f"{name}.nonlinear2.batchnorm", 6)
        yield from _conv(rng, f"{name}.cam_layer.linear_local", 4, 6, 3)
        yield from _conv(rng, f"{name}.cam_layer.linear1", 3, 6, 1, bias=True)
        yield from _conv(rng, f"{name}.cam_layer.linear2", 4, 3, 1, bias=True)
        yield from _norm(rng, f"xvector.transit{block}.nonlinear.batchnorm", size + 4)
        yield from _conv(rng, f"xvector.transit{block}.linear", (size + 4) // 2, size + 4, 1)
        size = (size + 4) // 2
    yield from _norm(rng, "xvector.out_nonlinear.batchnorm", size)
    yield from _conv(rng, "xvector.dense.linear", 12, size * 2, 1)
    yield from _norm(rng, "xvector.dense.nonlinear.batchnorm", 12, affine=False)


def eres2net() -> Weights:
    """Two channels and one block a layer; 80 bands as in the real one."""
    return _floats(_eres2net(_rng(3)))


def _eres2net(rng: np.random.Generator) -> Iterator[tuple[str, object]]:
    c = 2
    yield from _conv(rng, "conv1", c, 1, 3, 3)
    yield from _norm(rng, "bn1", c)
    sizes = (c, c * 2, c * 4, c * 8, c * 16)
    for layer, (size_in, size_out) in enumerate(pairwise(sizes), 1):
        name, width = f"layer{layer}.0", size_out // 4
        yield from _conv(rng, f"{name}.conv1", width * 2, size_in, 1, 1)
        yield from _norm(rng, f"{name}.bn1", width * 2)
        for half in "01":
            yield from _conv(rng, f"{name}.convs.{half}", width, width, 3, 3)
            yield from _norm(rng, f"{name}.bns.{half}", width)
        if layer > 2:
            yield from _fuse(rng, f"{name}.fuse_models.0", width)
        yield from _conv(rng, f"{name}.conv3", size_out, width * 2, 1, 1)
        yield from _norm(rng, f"{name}.bn3", size_out)
        yield from _conv(rng, f"{name}.shortcut.0", size_out, size_in, 1, 1)
        yield from _norm(rng, f"{name}.shortcut.1", size_out)
    for number in (1, 2, 3):
        yield from _conv(rng, f"layer{number}_downsample", sizes[number + 1], sizes[number], 3, 3)
        yield from _fuse(rng, f"fuse_mode{'1234'[: number + 1]}", sizes[number + 1])
    yield from _conv(rng, "seg_1", 12, sizes[4] * 10 * 2, bias=True)


def _fuse(rng: np.random.Generator, name: str, size: int) -> Iterator[tuple[str, object]]:
    inner = max(1, size // 4)
    yield from _conv(rng, f"{name}.local_att.0", inner, size * 2, 1, 1, bias=True)
    yield from _norm(rng, f"{name}.local_att.1", inner)
    yield from _conv(rng, f"{name}.local_att.3", size, inner, 1, 1, bias=True)
    yield from _norm(rng, f"{name}.local_att.4", size)
