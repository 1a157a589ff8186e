import json
from pathlib import Path

import ctranslate2  # type: ignore[import-untyped]
import numpy as np
import pytest

from kuaimei.errors import WeightsError
from kuaimei.models.convert.whisper_onnx import convert_whisper
from kuaimei.models.onnx_reader import read_onnx
from tests.unit.models.tiny_whisper import (
    MELS,
    VOCABULARY,
    encode,
    field,
    graph,
    model,
    node,
    tensor,
    write_tiny_whisper,
)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    return tmp_path / "from", tmp_path / "to"


def test_the_converted_encoder_computes_what_the_weights_say(folders: tuple[Path, Path]) -> None:
    source, made = folders
    weights = write_tiny_whisper(source)
    told: list[float] = []

    convert_whisper(source, made, told.append)

    mel = np.random.default_rng(3).standard_normal((MELS, 200)).astype(np.float32)
    whisper = ctranslate2.models.Whisper(str(made), device="cpu", compute_type="float32")
    features = ctranslate2.StorageView.from_array(mel[None])
    found = np.array(whisper.encode(features, to_cpu=True))[0]
    expected = encode(weights, mel)
    assert found.shape == expected.shape
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.995
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_the_converted_decoder_writes(folders: tuple[Path, Path]) -> None:
    source, made = folders
    write_tiny_whisper(source)
    convert_whisper(source, made)

    whisper = ctranslate2.models.Whisper(str(made), device="cpu", compute_type="float32")
    mel = np.zeros((1, MELS, 100), dtype=np.float32)
    prompt = ["<|startoftranscript|>", "<|zh|>", "<|transcribe|>", "<|notimestamps|>"]
    answer = whisper.generate(ctranslate2.StorageView.from_array(mel), [prompt], max_length=12, beam_size=1)

    assert answer[0].sequences[0]
    assert set(answer[0].sequences_ids[0]) <= set(range(VOCABULARY))


def test_all_that_a_recogniser_reads_is_written(folders: tuple[Path, Path]) -> None:
    source, made = folders
    write_tiny_whisper(source)
    convert_whisper(source, made)

    assert {path.name for path in made.iterdir()} == {
        "model.bin",
        "config.json",
        "vocabulary.json",
        "tokenizer.json",
    }
    config = json.loads((made / "config.json").read_text())
    assert config == {
        "alignment_heads": [[0, 1]],
        "lang_ids": [102],
        "suppress_ids": [1],
        "suppress_ids_begin": [2],
    }
    vocabulary = json.loads((made / "vocabulary.json").read_text())
    assert len(vocabulary) == VOCABULARY
    assert vocabulary[99:103] == ["w99", "<|endoftext|>", "<|startoftranscript|>", "<|zh|>"]
    assert vocabulary[105:107] == ["<|0.00|>", "<|0.02|>"]


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx", "config.json", "tokenizer.json"])
def test_half_a_model_is_refused(folders: tuple[Path, Path], name: str) -> None:
    source, made = folders
    write_tiny_whisper(source)
    (source / name).unlink()

    with pytest.raises(WeightsError, match="does not contain a complete Whisper model"):
        convert_whisper(source, made)


def test_a_model_that_lacks_a_layer_is_refused(folders: tuple[Path, Path]) -> None:
    source, made = folders
    write_tiny_whisper(source)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "encoder_layers": 2}))

    with pytest.raises(WeightsError, match=r"layers\.1"):
        convert_whisper(source, made)


def test_tensors_and_operations_are_read_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    wide = np.arange(6, dtype=np.float32).reshape(2, 3)
    packed = field(1, 2) + field(2, 7) + field(8, "ints") + field(7, b"\x05" + b"\xff" * 9 + b"\x01")
    scalar = field(2, 2) + field(8, "zero") + field(5, 109)
    constant = node("c", "Constant", attribute=field(5, field(1, "value") + field(5, tensor("", wide * 2))))
    path.write_bytes(
        model(graph([constant, node("n", "Add", "a", "b")], [tensor("w", wide), packed, scalar]))
    )

    found = read_onnx(path)

    assert np.array_equal(found.tensors["w"], wide)
    assert np.array_equal(found.tensors["c_out"], wide * 2)
    assert found.tensors["ints"].tolist() == [5, -1]
    assert found.tensors["zero"].tolist() == 109
    assert [(n.name, n.op_type, n.inputs) for n in found.nodes] == [("n", "Add", ("a", "b"))]


@pytest.mark.parametrize("data", [b"<html>not found</html>", b"\x3a\xff\xff\x01", b"\xff" * 20, b"\x08\x08"])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(data)
    with pytest.raises(WeightsError, match=r"x\.onnx is not"):
        read_onnx(tmp_path / "x.onnx")
