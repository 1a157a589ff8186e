"""Short programs that need torch, run where it is installed."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
PYTHON: Final = ROOT / ".venv-clone" / "bin" / "python"


def run_with_torch(program: str, *arguments: str) -> str:
    """What ``program`` prints; the test fails if it does, and is skipped where there is no torch."""
    need_torch()
    done = subprocess.run(
        [str(PYTHON), "-c", program, *arguments],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def need_torch() -> None:
    """The test is skipped where voices cannot be learned."""
    if not PYTHON.is_file():
        pytest.skip("there is no environment for learning voices (.venv-clone): make setup without SLIM")
