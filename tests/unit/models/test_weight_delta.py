import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.errors import WeightsError
from kuaimei.models.weight_delta import LowRankFactor, WeightDelta, load_difference, save_difference


def saved(path: Path, difference: WeightDelta) -> Path:
    with path.open("wb") as file:
        save_difference(file, difference)
    return path


def thin(rows: int, columns: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32) / np.float32(8)


def some() -> WeightDelta:
    matrix = LowRankFactor(thin(6, 2, 0), thin(2, 12, 1))
    vector = LowRankFactor(thin(5, 1, 2), np.ones((1, 1), np.float32))
    return WeightDelta({"/decoder/Mul_output_0": matrix, "decoder.bias": vector})


def test_what_is_saved_is_what_is_loaded_in_half_precision(tmp_path: Path) -> None:
    difference = some()
    loaded = load_difference(saved(tmp_path / "decoder.npz", difference))
    assert loaded.names == ("/decoder/Mul_output_0", "decoder.bias")
    stock = np.zeros((6, 4, 3), np.float32)
    change = difference.changes["/decoder/Mul_output_0"]
    applied = loaded.apply("/decoder/Mul_output_0", stock)
    assert applied.dtype == np.float32
    assert applied.shape == stock.shape
    np.testing.assert_allclose(applied.reshape(6, 12), change.left @ change.right, atol=1e-3)
    vector = loaded.apply("decoder.bias", np.ones(5, np.float32))
    np.testing.assert_allclose(vector, 1 + difference.changes["decoder.bias"].left[:, 0], atol=1e-3)


def test_what_is_not_changed_stays_the_very_array() -> None:
    stock = np.ones(3, np.float32)
    assert some().apply("another", stock) is stock


@pytest.mark.parametrize("shape", [(6, 4, 4), (12, 6), (5,)])
def test_weights_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(WeightsError, match="another version"):
        some().apply("/decoder/Mul_output_0", np.zeros(shape, np.float32))


def test_what_is_no_decoder_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "decoder.npz"
    with pytest.raises(WeightsError, match="train the voice again"):
        load_difference(broken)
    broken.write_bytes(b"not a zip")
    with pytest.raises(WeightsError, match="train the voice again"):
        load_difference(broken)
    np.savez(broken, other=np.zeros(3))
    with pytest.raises(WeightsError, match="train the voice again"):
        load_difference(broken)
    whole = io.BytesIO()
    save_difference(whole, some())
    broken.write_bytes(whole.getvalue()[:-40])
    with pytest.raises(WeightsError, match="train the voice again"):
        load_difference(broken)


def test_objects_and_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "decoder.npz"
    with path.open("wb") as file:
        np.savez(file, format=np.array(1), names=np.array(["a"], dtype=object))
    with pytest.raises(WeightsError):
        load_difference(path)
    nan = WeightDelta({"a": LowRankFactor(np.full((2, 1), np.nan, np.float32), np.ones((1, 2), np.float32))})
    with pytest.raises(WeightsError, match="not finite"):
        load_difference(saved(path, nan))
    unfit = WeightDelta({"a": LowRankFactor(np.ones((2, 3), np.float32), np.ones((1, 2), np.float32))})
    with pytest.raises(WeightsError, match="do not match"):
        load_difference(saved(path, unfit))
