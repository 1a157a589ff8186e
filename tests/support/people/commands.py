"""``kuaimei`` as whoever runs a server calls it: a process of its own on the store of the test."""

import os
import subprocess
import sys

from kuaimei.settings import Settings

__all__ = ["environment", "run_command"]


def environment(settings: Settings) -> dict[str, str]:
    """For child processes; nothing of the caller's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KUAIMEI_")}
    own = {"KUAIMEI_HOME": str(settings.home), "KUAIMEI_STORE__DATABASE_URL": settings.store.database_url}
    return {**kept, **own, "KUAIMEI_RENDERING__HQ": "none"}


def run_command(
    settings: Settings, *arguments: str, status: int = 0, stdin: str | None = None, **more: str
) -> "subprocess.CompletedProcess[str]":
    """Run it to its end; its output is no terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "kuaimei", *arguments],
        env={**environment(settings), **more},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stderr[-3000:]
    return done
