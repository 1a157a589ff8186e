"""Temporary data folder with the installed weights, for a measurement."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kuaimei.settings import Settings
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres

__all__ = ["private_home"]


@contextmanager
def private_home() -> Iterator[Path]:
    """Create a data folder, deleted after the block; the runtime measured as fastest is copied into it."""
    real = Settings()
    home = Path(tempfile.mkdtemp(prefix="kuaimei-measured-"))
    (home / "models").symlink_to(real.weights_dir)
    if (learning := real.home / "learning-environment").is_dir():
        (home / learning.name).symlink_to(learning)
    if (measured := real.home / "runtime.json").exists():
        shutil.copy(measured, home)
    try:
        yield home
    finally:
        EmbeddedPostgres(home / "postgres").delete()
        shutil.rmtree(home, ignore_errors=True)
