"""A start that does not come to its end in time is ended, and says what it waited for."""

import subprocess
import sys
from pathlib import Path

import pytest

from kuaimei.settings import Settings
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.store.postgres.postmaster import find_postmaster

pytestmark = [pytest.mark.models, pytest.mark.timeout(600)]


def test_a_start_that_takes_too_long_ends_with_an_error(
    environment: dict[str, str], tmp_path: Path, home: Path
) -> None:
    private = tmp_path / "home"
    private.mkdir()
    (private / "models").symlink_to((home / "models").resolve())
    limits = {"KUAIMEI_HOME": str(private), "KUAIMEI_SERVER__START_TIMEOUT_S": "0.2"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "kuaimei", "serve", "--port", "0"],
            env={**environment, **limits},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        server = EmbeddedPostgres(private / "postgres", Settings().store.database_dir)
        left = find_postmaster(server.data)
        server.delete()
    assert left is None
    assert done.returncode == 1
    assert "not ready after 0.2 s, still waiting for" in done.stderr
    assert "KUAIMEI_SERVER__START_TIMEOUT_S" in done.stderr
    assert "most recent call first" in done.stderr
