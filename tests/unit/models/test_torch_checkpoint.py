import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kuaimei.errors import WeightsError
from kuaimei.models.torch_checkpoint import read_checkpoint
from tests.unit.models.tiny_checkpoint import write_legacy, write_zipped

Write = Callable[..., None]
WEIGHTS = {
    "linear.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "linear.bias": np.array([0.5, -0.5], np.float32),
    "turned": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
}


@pytest.mark.parametrize("write", [write_zipped, write_legacy])
@pytest.mark.parametrize("around", [{}, {"step": 7, "optimizer_state": {"lr": 0.1}}])
def test_both_forms_give_the_tensors_back(tmp_path: Path, write: Write, around: dict[str, object]) -> None:
    write(tmp_path / "checkpoint.pt", WEIGHTS, **around)

    read = read_checkpoint(tmp_path / "checkpoint.pt")

    assert list(read) == list(WEIGHTS)
    for name, value in WEIGHTS.items():
        np.testing.assert_array_equal(read[name], value)


class _Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path: Path, zipped: bool) -> None:
    path, target = tmp_path / "checkpoint.pt", tmp_path / "harm"
    data = pickle.dumps({"weight": _Bomb(target)}, protocol=2)
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", data)
    else:
        path.write_bytes(data)

    with pytest.raises(WeightsError, match="mkdir"):
        read_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize("write", [write_zipped, write_legacy])
def test_a_file_cut_short_is_refused(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "checkpoint.pt"
    write(path, WEIGHTS)
    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(WeightsError, match=r"checkpoint\.pt"):
        read_checkpoint(path)


def test_a_tensor_cannot_reach_beyond_its_storage(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_zipped(path, {"weight": np.zeros(2, np.float32)})
    np.testing.assert_array_equal(read_checkpoint(path)["weight"], [0.0, 0.0])

    with zipfile.ZipFile(path) as archive:
        index = archive.read("archive/data.pkl")
    nine, step_of_zero = index.replace(b"K\x02\x85", b"K\x09\x85"), b"K\x00\x85"
    for tampered in (nine, nine.replace(b"K\x01\x85", step_of_zero)):  # the second would grow without end
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", tampered)
            archive.writestr("archive/data/0", bytes(8))
        with pytest.raises(WeightsError, match="beyond its storage"):
            read_checkpoint(path)


def test_something_else_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    for data in (b"", b"%PDF-1.7", pickle.dumps([1, 2, 3])):
        path.write_bytes(data)
        with pytest.raises(WeightsError, match="not a readable checkpoint"):
            read_checkpoint(path)
    write_zipped(path, {})
    with pytest.raises(WeightsError, match="that contains weights"):
        read_checkpoint(path)
