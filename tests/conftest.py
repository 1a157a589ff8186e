"""Fixtures for every room."""

import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.virtual_time import run_virtually

# No server of a test makes an environment for learning voices: tests of that say so.
os.environ["KUAIMEI_VOICES__ENVIRONMENT"] = "off"


@pytest.fixture
def on_virtual_time() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a coroutine on a clock that jumps."""
    return run_virtually


@pytest.fixture(scope="session", autouse=True)
def database_dir() -> Iterator[Path]:
    """Where root has the embedded databases of these tests and of what they start; gone with them."""
    folder = Path(tempfile.mkdtemp(prefix="kuaimei-databases-"))
    folder.chmod(0o755)  # the account of the server passes through
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUAIMEI_STORE__DATABASE_DIR", str(folder))
        yield folder
    shutil.rmtree(folder, ignore_errors=True)
