"""Converts Whisper from quantized ONNX to CTranslate2 int8, without torch.

The hub serves Whisper small as CTranslate2, the package registry only as the ONNX export of Optimum
(8-bit weights, one scale for each matrix). CTranslate2 describes a model by a specification filled
with arrays, which its own converter takes from torch; here the arrays come from the ONNX files. Each
matrix is dequantized to float32 and quantized again row by row, which is finer than its original
grid, so that nothing more is lost.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import WeightsError
from kuaimei.models.onnx_reader import OnnxFile, read_onnx

__all__ = ["convert_whisper"]

_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")


def convert_whisper(folder: Path, into: Path, progress: Callable[[float], None] = lambda _: None) -> None:
    """Write ``model.bin``, ``config.json``, ``vocabulary.json`` and ``tokenizer.json`` into ``into``.

    Takes about ten seconds and 1.5 GB of memory for Whisper small.

    Args:
        folder: Holds ``encoder.onnx``, ``decoder.onnx`` (with or without the cache branch),
            ``config.json``, ``generation_config.json`` and ``tokenizer.json`` of one Whisper model.
        into: An existing folder.
        progress: Called with the fraction done, rising to 1.

    Raises:
        WeightsError: If the files are not those of a Whisper model.
    """
    from ctranslate2.specs import WhisperSpec  # type: ignore[import-untyped]

    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        generation = json.loads((folder / "generation_config.json").read_text("utf-8"))
        vocabulary = _vocabulary(folder / "tokenizer.json", int(config["vocab_size"]))
        layers = int(config["encoder_layers"]), int(config["decoder_layers"])
        spec = WhisperSpec(
            layers[0],
            int(config["encoder_attention_heads"]),
            layers[1],
            int(config["decoder_attention_heads"]),
        )
        steps = sum(layers) + 4  # the layers, then quantising and writing
        encoder = _Weights(read_onnx(folder / "encoder.onnx"), "model.encoder.")
        _fill_conv(spec.encoder.conv1, encoder, "conv1")
        _fill_conv(spec.encoder.conv2, encoder, "conv2")
        _fill_common(spec.encoder, encoder)
        for number, layer in enumerate(spec.encoder.layer):
            _fill_layer(layer, encoder, f"layers.{number}")
            progress((number + 1) / steps)
        decoder = _Weights(read_onnx(folder / "decoder.onnx"), "model.decoder.")
        spec.decoder.embeddings.weight = decoder.matrix("embed_tokens.weight")
        spec.decoder.projection.weight = spec.decoder.embeddings.weight
        _fill_common(spec.decoder, decoder)
        for number, layer in enumerate(spec.decoder.layer):
            _fill_layer(layer, decoder, f"layers.{number}")
            progress((layers[0] + number + 1) / steps)
    except (KeyError, TypeError, OSError, json.JSONDecodeError) as error:
        raise WeightsError(f"{folder.name} does not contain a complete Whisper model: {error}") from error

    spec.config.suppress_ids = generation["suppress_tokens"]
    spec.config.suppress_ids_begin = generation["begin_suppress_tokens"]
    spec.config.alignment_heads = generation["alignment_heads"]
    spec.config.lang_ids = sorted(generation["lang_to_id"].values())
    spec.register_vocabulary(vocabulary)
    try:
        spec.validate()
    except ValueError as error:
        raise WeightsError(f"{folder.name} does not contain a complete Whisper model: {error}") from error
    spec.optimize(quantization="int8")
    progress((steps - 2) / steps)
    spec.save(str(into))
    shutil.copyfile(folder / "tokenizer.json", into / "tokenizer.json")
    progress(1.0)


class _Weights:
    """Weights by their names in the original model."""

    def __init__(self, file: OnnxFile, prefix: str) -> None:
        # Both the names in the file and the original ones: numbered tensors may differ only in their suffix.
        self._tensors = file.tensors | {_plain(name, prefix): file.tensors[name] for name in file.tensors}
        # The export numbers the matrices; only the operation that uses one is named after its original
        # layer.
        self._operand = {
            _plain(node.name.lstrip("/").replace("/", "."), prefix): node.inputs[1]
            for node in file.nodes
            if node.op_type in ("MatMul", "MatMulInteger", "Gemm") and len(node.inputs) > 1
        }

    def vector(self, name: str) -> NDArray[np.float32]:
        return np.array(self._tensors[name], dtype=np.float32)

    def matrix(self, name: str) -> NDArray[np.float32]:
        """Return ``name`` in float32, dequantized if the file stores it in 8 bits."""
        base = name.removesuffix("_quantized")
        if f"{base}_quantized" not in self._tensors:
            return self.vector(name)
        value = self._tensors[f"{base}_quantized"].astype(np.float32)
        value -= self._tensors[f"{base}_zero_point"].astype(np.float32)
        value *= self._tensors[f"{base}_scale"]
        return value

    def linear(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weight (outputs, inputs) and bias (outputs) of the linear layer ``name``."""
        operand = self._operand.get(f"{name}.MatMul_quant") or self._operand[f"{name}.MatMul"]
        weight = np.ascontiguousarray(self.matrix(operand).T)
        bias = f"{name}.bias"
        return weight, self.vector(bias) if bias in self._tensors else np.zeros(len(weight), np.float32)


def _plain(name: str, prefix: str) -> str:
    """Return ``name`` without what Optimum added when it merged the decoder's two branches."""
    return re.sub(r"_merged_\d+", "", name).removeprefix(prefix)


def _fill_common(spec: Any, weights: _Weights) -> None:
    spec.position_encodings.encodings = weights.vector("embed_positions.weight")
    _fill_norm(spec.layer_norm, weights, "layer_norm")


def _fill_layer(spec: Any, weights: _Weights, name: str) -> None:
    _fill_norm(spec.self_attention.layer_norm, weights, f"{name}.self_attn_layer_norm")
    _fill_linear(spec.self_attention.linear[0], weights, *(f"{name}.self_attn.{p}_proj" for p in "qkv"))
    _fill_linear(spec.self_attention.linear[1], weights, f"{name}.self_attn.out_proj")
    if hasattr(spec, "attention"):
        _fill_norm(spec.attention.layer_norm, weights, f"{name}.encoder_attn_layer_norm")
        _fill_linear(spec.attention.linear[0], weights, f"{name}.encoder_attn.q_proj")
        _fill_linear(spec.attention.linear[1], weights, *(f"{name}.encoder_attn.{p}_proj" for p in "kv"))
        _fill_linear(spec.attention.linear[2], weights, f"{name}.encoder_attn.out_proj")
    _fill_norm(spec.ffn.layer_norm, weights, f"{name}.final_layer_norm")
    _fill_linear(spec.ffn.linear_0, weights, f"{name}.fc1")
    _fill_linear(spec.ffn.linear_1, weights, f"{name}.fc2")


def _fill_linear(spec: Any, weights: _Weights, *names: str) -> None:
    """Fill one linear layer; fuses several names, as CTranslate2 requires for queries, keys and values."""
    parts = [weights.linear(name) for name in names]
    spec.weight = np.concatenate([weight for weight, _ in parts])
    spec.bias = np.concatenate([bias for _, bias in parts])


def _fill_norm(spec: Any, weights: _Weights, name: str) -> None:
    spec.gamma = weights.vector(f"{name}.weight")
    spec.beta = weights.vector(f"{name}.bias")


def _fill_conv(spec: Any, weights: _Weights, name: str) -> None:
    spec.weight = weights.matrix(f"{name}.weight")
    spec.bias = weights.vector(f"{name}.bias")


def _vocabulary(tokenizer: Path, size: int) -> list[str]:
    """Return all ``size`` tokens by id; the time stamps, which the tokenizer file lacks, come last."""
    document = json.loads(tokenizer.read_text("utf-8"))
    ids: dict[str, int] = dict(document["model"]["vocab"])
    ids.update({token["content"]: token["id"] for token in document["added_tokens"]})
    tokens = sorted(ids, key=ids.__getitem__)
    tokens.extend(f"<|{number * 0.02:.2f}|>" for number in range(size - len(tokens)))
    return tokens
