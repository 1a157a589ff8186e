import json
from pathlib import Path
from typing import Any

import pytest

from kuaimei.errors import SettingsError
from kuaimei.training.job import read_job


def job(folder: Path, **changes: Any) -> Path:
    for name in ("reference.wav", "style.npy", "fp32.onnx", "ge2e.onnx"):
        (folder / name).touch()
    given = {
        "step": "decoder",
        "reference": "reference.wav",
        "reference_tokens": [5, 6],
        "lines": [[1, 2, 3]],
        "style": "style.npy",
        "weights": str(folder / "fp32.onnx"),
        "encoders": {"ge2e": str(folder / "ge2e.onnx")},
        "threads": 1,
        "seconds": 360,
        "device": "auto",
        **changes,
    }
    (folder / "job.json").write_text(json.dumps(given), encoding="utf-8")
    return folder


def test_a_job_is_read_with_names_in_its_folder(tmp_path: Path) -> None:
    read = read_job(job(tmp_path))
    assert read.reference == tmp_path / "reference.wav"
    assert read.weights == tmp_path / "fp32.onnx"
    assert read.lines == ((1, 2, 3),)
    assert read.reference_tokens == (5, 6)
    assert (read.threads, read.seconds, read.iterations) == (1, 360.0, None)


def test_a_listener_knows_every_line(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    given = {"weights": "model.bin", "before": [7, 8], "lines": [[1, 2]]}
    listener = read_job(job(tmp_path, listener=given)).listener
    assert listener is not None
    assert (listener.before, listener.lines) == ((7, 8), ((1, 2),))
    assert read_job(job(tmp_path)).listener is None
    (tmp_path / "model.bin").unlink()
    with pytest.raises(SettingsError, match=r"model\.bin"):
        read_job(job(tmp_path, listener=given))


def test_a_style_needs_no_text_of_the_reference(tmp_path: Path) -> None:
    assert read_job(job(tmp_path, step="style", reference_tokens=None)).reference_tokens is None


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "everything"},
        {"reference_tokens": None},
        {"lines": []},
        {"lines": [[]]},
        {"lines": [[1] * 509]},
        {"lines": "abc"},
        {"encoders": {}},
        {"threads": 0},
        {"seconds": 0},
        {"seconds": "soon"},
        {"iterations": 0},
        {"device": "abacus"},
        {"style": None},
        {"listener": {"weights": "model.bin", "before": [1], "lines": [[1], [2]]}},
        {"listener": {"weights": "model.bin", "before": [], "lines": [[1]]}},
        {"listener": {"before": [1], "lines": [[1]]}},
    ],
)
def test_what_is_no_job_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="is not a training job"):
        read_job(job(tmp_path, **changes))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not a training job"):
        read_job(tmp_path)
    job(tmp_path)
    (tmp_path / "style.npy").unlink()
    with pytest.raises(SettingsError, match=r"style\.npy"):
        read_job(tmp_path)
