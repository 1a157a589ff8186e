"""No child is started by a fork, which a library that computes can turn into a standstill."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kuaimei.system.processes import account_named

ROOT = Path(__file__).parents[3]
SCRIPT = Path(__file__).with_name("starting_children.py")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no such way to see a fork")
def test_no_child_is_started_by_a_fork() -> None:
    with tempfile.TemporaryDirectory(prefix="kuaimei-test-") as folder:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), folder],
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["by starting children"] == 0
    assert found["by a fork"] == 1  # so it would have been counted
    if os.geteuid() == 0:
        account = account_named("kuaimei")
        assert found["account"] == account.uid
        status = dict(line.split(":", 1) for line in found["status"].splitlines())
        assert status["Uid"].split() == [str(account.uid)] * 4
        assert status["Gid"].split() == [str(account.gid)] * 4
        assert status["Groups"].split() == []
