"""A random Whisper of a few kilobytes, written as Optimum's 8-bit ONNX export is."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
WIDTH, HEADS, INNER, MELS, POSITIONS = 32, 2, 64, 80, 1500
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|zh|>", "<|transcribe|>", "<|notimestamps|>"]
VOCABULARY = 120


def field(number: int, value: int | bytes | str) -> bytes:
    """One protobuf field."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def tensor(name: str, value: NDArray[Any]) -> bytes:
    kinds = {"float32": 1, "uint8": 2, "int8": 3, "int64": 7}
    dims = b"".join(field(1, size) for size in value.shape)
    return dims + field(2, kinds[value.dtype.name]) + field(8, name) + field(9, value.tobytes())


def node(name: str, op_type: str, *inputs: str, attribute: bytes = b"") -> bytes:
    given = b"".join(field(1, one) for one in inputs)
    return given + field(2, f"{name}_out") + field(3, name) + field(4, op_type) + attribute


def graph(nodes: list[bytes], tensors: list[bytes]) -> bytes:
    return b"".join(field(1, n) for n in nodes) + b"".join(field(5, t) for t in tensors)


def model(inner: bytes) -> bytes:
    return field(1, 8) + field(7, inner)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


class Export:
    """Collects the pieces of one ONNX file and the float weights they stand for."""

    def __init__(self, seed: int, *, merged: str = "") -> None:
        self._random = np.random.default_rng(seed)
        self._merged = merged
        self.weights: dict[str, Floats] = {}
        self.tensors: list[bytes] = []
        self.nodes: list[bytes] = []

    def plain(self, name: str, *shape: int, scale: float = 0.1, shift: float = 0.0) -> None:
        value = (self._random.standard_normal(shape) * scale + shift).astype(np.float32)
        self.weights[name] = value
        self.tensors.append(tensor(f"{name}{self._merged}", value))

    def quantized(self, name: str, *shape: int, dtype: str = "uint8") -> None:
        value = self._random.standard_normal(shape) / math.sqrt(shape[-1])
        scale = np.float32(np.abs(value).max() / 100)
        zero = np.array(120 if dtype == "uint8" else 3, dtype)
        integers = (np.rint(value / scale) + zero).astype(dtype)
        self.weights[name] = (integers.astype(np.float32) - np.float32(zero)) * scale
        base = f"{name}{self._merged}"
        self.tensors += [
            tensor(f"{base}_quantized", integers),
            tensor(f"{base}_scale", np.array(scale, np.float32)),
            tensor(f"{base}_zero_point", zero),
        ]

    def linear(self, path: str, inputs: int, outputs: int, *, bias: bool = True, dtype: str) -> None:
        """As the export does it: a nameless matrix (inputs, outputs) of an operation with a name."""
        number = f"onnx::MatMul_{len(self.nodes)}"
        self.quantized(number, inputs, outputs, dtype=dtype)
        self.weights[f"{path}.weight"] = self.weights.pop(number).T
        operand = f"{number}{self._merged}_quantized"
        where = "/" + path.replace("model.decoder.", "model/decoder/").replace("layers.", "layers-")
        where = where.replace(".", "/").replace("layers-", "layers.")
        self.nodes.append(node(f"{where}/MatMul_quant", "MatMulInteger", "x", operand))
        if bias:
            self.plain(f"{path}.bias", outputs)

    def norm(self, path: str) -> None:
        self.plain(f"{path}.weight", WIDTH, shift=1.0)
        self.plain(f"{path}.bias", WIDTH)

    def attention(self, path: str, dtype: str) -> None:
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            self.linear(f"{path}.{part}", WIDTH, WIDTH, bias=part != "k_proj", dtype=dtype)

    def block(self, path: str, dtype: str, *, cross: bool) -> None:
        self.norm(f"{path}.self_attn_layer_norm")
        self.attention(f"{path}.self_attn", dtype)
        if cross:
            self.norm(f"{path}.encoder_attn_layer_norm")
            self.attention(f"{path}.encoder_attn", dtype)
        self.norm(f"{path}.final_layer_norm")
        self.linear(f"{path}.fc1", WIDTH, INNER, dtype=dtype)
        self.linear(f"{path}.fc2", INNER, WIDTH, dtype=dtype)


def write_tiny_whisper(folder: Path) -> dict[str, Floats]:
    """Write the files that a conversion starts from; the encoder's weights by their original names."""
    encoder = Export(1)
    encoder.quantized("conv1.weight", WIDTH, MELS, 3)
    encoder.plain("conv1.bias", WIDTH)
    encoder.quantized("conv2.weight", WIDTH, WIDTH, 3)
    encoder.plain("conv2.bias", WIDTH)
    encoder.plain("embed_positions.weight", POSITIONS, WIDTH)
    encoder.block("layers.0", "uint8", cross=False)
    encoder.norm("layer_norm")
    (folder / "encoder.onnx").write_bytes(model(graph(encoder.nodes, encoder.tensors)))

    decoder = Export(2, merged="_merged_0")
    decoder.plain("model.decoder.embed_positions.weight", 448, WIDTH)
    decoder.quantized("model.decoder.embed_tokens.weight", VOCABULARY, WIDTH)
    decoder.block("model.decoder.layers.0", "int8", cross=True)
    decoder.norm("model.decoder.layer_norm")
    branch = graph(decoder.nodes, [])
    attribute = field(5, field(1, "then_branch") + field(6, branch))
    choice = node("optimum::if", "If", "use_cache_branch", attribute=attribute)
    (folder / "decoder.onnx").write_bytes(model(graph([choice], decoder.tensors)))

    config = {
        "vocab_size": VOCABULARY,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": HEADS,
        "decoder_attention_heads": HEADS,
    }
    generation = {
        "suppress_tokens": [1],
        "begin_suppress_tokens": [2],
        "alignment_heads": [[0, 1]],
        "lang_to_id": {"<|zh|>": 102},
    }
    words = {f"w{number}": number for number in range(100)}
    special = [{"id": 100 + number, "content": word} for number, word in enumerate(SPECIAL)]
    tokenizer = {"model": {"vocab": words}, "added_tokens": special}
    for name, document in (
        ("config.json", config),
        ("generation_config.json", generation),
        ("tokenizer.json", tokenizer),
    ):
        (folder / name).write_text(json.dumps(document))
    return encoder.weights


def encode(weights: dict[str, Floats], mel: Floats) -> Floats:
    """Whisper's encoder, as in the paper, on ``mel`` of shape (80, frames)."""

    def conv(x: Floats, name: str, stride: int) -> Floats:
        padded = np.pad(x, ((0, 0), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=1)[:, ::stride]
        out = np.einsum("oik,itk->ot", weights[f"{name}.weight"], windows)
        return _gelu(out + weights[f"{name}.bias"][:, None])

    def norm(x: Floats, name: str) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        out: Floats = centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]
        return out

    def linear(x: Floats, name: str) -> Floats:
        out: Floats = x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", np.float32(0))
        return out

    def attend(x: Floats, name: str) -> Floats:
        q, k, v = (
            linear(x, f"{name}.{part}_proj").reshape(len(x), HEADS, -1).swapaxes(0, 1) for part in "qkv"
        )
        scores = q @ k.swapaxes(1, 2) / math.sqrt(WIDTH / HEADS)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return linear((shares @ v).swapaxes(0, 1).reshape(len(x), WIDTH), f"{name}.out_proj")

    x = conv(conv(mel, "conv1", 1), "conv2", 2).T
    x = x + weights["embed_positions.weight"][: len(x)]
    x = x + attend(norm(x, "layers.0.self_attn_layer_norm"), "layers.0.self_attn")
    inner = linear(norm(x, "layers.0.final_layer_norm"), "layers.0.fc1")
    x = x + linear(_gelu(inner), "layers.0.fc2")
    return norm(x, "layer_norm")


def _gelu(x: Floats) -> Floats:
    error = np.vectorize(math.erf)(x / math.sqrt(2))
    out: Floats = (x * (1 + error) / 2).astype(np.float32)
    return out
