"""The weights in a CTranslate2 file are those that went into it."""

from pathlib import Path

import numpy as np
import pytest

from kuaimei.errors import WeightsError
from kuaimei.models.convert.whisper_onnx import convert_whisper
from kuaimei.models.ctranslate2_reader import read_ct2
from tests.unit.models.tiny_whisper import POSITIONS, VOCABULARY, WIDTH, write_tiny_whisper


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A tiny Whisper's ``model.bin``, its matrices in 8 bits."""
    (tmp_path / "from").mkdir()
    write_tiny_whisper(tmp_path / "from")
    convert_whisper(tmp_path / "from", tmp_path)
    return tmp_path / "model.bin"


def test_vectors_are_exact_and_matrices_as_near_as_8_bits_are(tiny: Path, tmp_path: Path) -> None:
    weights = write_tiny_whisper(tmp_path / "from")
    read = read_ct2(tiny)
    np.testing.assert_allclose(read["encoder/layer_norm/beta"], weights["layer_norm.bias"], atol=1e-6)
    matrix = weights["layers.0.fc1.weight"]
    assert read["encoder/layer_0/ffn/linear_0/weight"].dtype == np.float32
    np.testing.assert_allclose(
        read["encoder/layer_0/ffn/linear_0/weight"], matrix, atol=float(np.abs(matrix).max()) / 120
    )
    np.testing.assert_allclose(read["encoder/conv1/weight"], weights["conv1.weight"], atol=0.01)
    assert read["encoder/position_encodings/encodings"].shape == (POSITIONS, WIDTH)
    assert read["decoder/projection/weight"].shape == (VOCABULARY, WIDTH)
    assert not [name for name in read if name.endswith("_scale")]


@pytest.mark.parametrize("size", [0, 3, 40, 2000])
def test_a_torn_file_is_refused(tiny: Path, size: int) -> None:
    torn = tiny.with_name("torn.bin")
    torn.write_bytes(tiny.read_bytes()[:size])
    with pytest.raises(WeightsError, match=r"torn\.bin cannot be read"):
        read_ct2(torn)


def test_a_later_version_and_a_missing_file_are_refused(tiny: Path) -> None:
    later = tiny.with_name("later.bin")
    later.write_bytes(b"\x63\0\0\0" + tiny.read_bytes()[4:])
    with pytest.raises(WeightsError, match="version 99"):
        read_ct2(later)
    with pytest.raises(WeightsError, match="models verify"):
        read_ct2(tiny.with_name("none.bin"))
