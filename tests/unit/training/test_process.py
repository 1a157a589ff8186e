"""The learning process where it cannot learn: one sentence on its standard output, in every environment."""

import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from kuaimei.training.progress_events import ProgressReporter

SOURCE = Path(__file__).resolve().parents[3] / "src"


def run(*arguments: str) -> tuple[int, list[dict[str, object]]]:
    command = [sys.executable, "-m", "kuaimei.training", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": str(SOURCE)}, check=False
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_reports_are_lines_of_json() -> None:
    out = io.StringIO()
    reports = ProgressReporter(out)
    reports.progress(1.2, -3.0, {"ge2e": 0.87654321})
    reports.done("style.out.npy", None, {"ge2e": 0.9})
    reports.failed("說不出來")
    reports.stopped()
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"event": "progress", "fraction": 1.0, "eta_s": 0, "similarity": {"ge2e": 0.8765}},
        {"event": "done", "style": "style.out.npy", "decoder": None, "similarity": {"ge2e": 0.9}},
        {"event": "failed", "message": "說不出來"},
        {"event": "stopped"},
    ]


def test_a_folder_without_a_job_is_a_sentence(tmp_path: Path) -> None:
    status, events = run(str(tmp_path))
    assert status == 1
    assert [event["event"] for event in events] == ["failed"]
    assert "job.json" in str(events[0]["message"])


def test_without_a_folder_it_says_how_it_is_called() -> None:
    assert run() == (64, [])


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is here")
def test_without_torch_it_says_what_to_do(tmp_path: Path) -> None:
    for name in ("reference.wav", "style.npy", "fp32.onnx", "ge2e.onnx"):
        (tmp_path / name).touch()
    given = {
        "step": "style",
        "reference": "reference.wav",
        "lines": [[1, 2]],
        "style": "style.npy",
        "weights": "fp32.onnx",
        "encoders": {"ge2e": "ge2e.onnx"},
        "seconds": 10,
    }
    (tmp_path / "job.json").write_text(json.dumps(given), encoding="utf-8")
    status, events = run(str(tmp_path))
    assert status == 1
    assert "delete the folder learning-environment" in str(events[0]["message"])
