"""Nothing that is said can be read by another account of the machine, at no moment of a life."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from kuaimei.settings import Settings
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres

ROOT = Path(__file__).parents[3]


def test_nobody_else_can_read_what_is_written_in_a_life() -> None:
    with tempfile.TemporaryDirectory(prefix="kuaimei-test-") as name:
        home = Path(name) / "home"
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("life.py")), str(home)],
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
        EmbeddedPostgres(home / "postgres", Settings().store.database_dir).delete()
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert not found["open"]
    seen = " ".join(found["seen"])  # so it was looked for at all
    for part in (
        "recordings",
        "spool",
        "learning",
        "reference.wav",
        "reference.flac",
        ".mp3",
        "heads",
        "voice.wav",
    ):
        assert part in seen, part
