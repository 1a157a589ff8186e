"""Short programs that need torch, run where it is installed."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
PYTHON: Final = ROOT / ".venv-clone" / "bin" / "python"


def run_with_torch(program: str) -> None:
    """The test fails if ``program`` does, and is skipped where there is no torch."""
    if not PYTHON.is_file():
        pytest.skip("there is no environment for learning voices (.venv-clone): make setup without SLIM")
    done = subprocess.run(
        [str(PYTHON), "-c", program],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
