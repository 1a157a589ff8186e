"""Short programs that need torch, run where it is installed."""

import subprocess
from pathlib import Path
from typing import Final

from tests.support.training_environment import need_torch

__all__ = ["need_torch", "run_with_torch"]

ROOT: Final = Path(__file__).resolve().parents[3]


def run_with_torch(program: str, *arguments: str) -> str:
    """What ``program`` prints; the test fails if it does, and is skipped where there is no torch."""
    done = subprocess.run(
        [str(need_torch()), "-c", program, *arguments],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
