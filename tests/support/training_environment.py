"""The environment for learning voices that tests with torch run in: that of the real data folder."""

from pathlib import Path
from typing import Final

import pytest

from kuaimei.settings import Settings
from kuaimei.voices.training.environment.paths import interpreter

__all__ = ["PYTHON", "need_torch"]

PYTHON: Final[Path | None] = interpreter(Settings())
"""Its interpreter; None: `make setup` was told to leave it out, or has not run."""


def need_torch() -> Path:
    """The interpreter; the test is skipped where voices cannot be learned."""
    if PYTHON is None:
        pytest.skip("there is no environment for learning voices: run make setup without SLIM=1")
    return PYTHON
