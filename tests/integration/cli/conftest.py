"""A home of its own for every command that is run, with the real weights in it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from kuaimei.settings import Settings

Run: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A data folder without history: only weights, and how to run them fastest."""
    real = Settings()
    folder = Path(tempfile.mkdtemp(prefix="kuaimei-home-"))
    (folder / "models").symlink_to(real.weights_dir)
    if (measured := real.home / "runtime.json").exists():
        (folder / "runtime.json").touch(0o600)
        (folder / "runtime.json").write_bytes(measured.read_bytes())
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def environment(home: Path, database_dir: Path) -> dict[str, str]:
    """For child processes; nothing of the caller's own settings, and servers that ask for no key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KUAIMEI_")}
    return {
        **kept,
        "KUAIMEI_HOME": str(home),
        "KUAIMEI_STORE__DATABASE_DIR": str(database_dir),
        "KUAIMEI_LLM": "qwen2.5-coder-0.5b",
        "KUAIMEI_SERVER__OPEN": "true",
        "KUAIMEI_VOICES__ENVIRONMENT": "off",
    }


@pytest.fixture(scope="session")
def kuaimei(environment: dict[str, str]) -> Run:
    """Runs the command; its output is text."""

    def run(
        *arguments: str, prefix: tuple[str, ...] = (), status: int = 0, **more: str
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "kuaimei", *arguments],
            env={**environment, **more},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == status, done.stderr[-3000:]
        return done

    return run
