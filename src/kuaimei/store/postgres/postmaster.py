"""The server process of a cluster: lookup and stop."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

__all__ = ["find_postmaster", "stop_postmaster"]


def find_postmaster(data: Path) -> int | None:
    """Return the process id of the server of the cluster in ``data``; None if none is visible.

    None does not mean that none is running: it may run in another container, or on another machine.
    """
    with suppress(OSError, ValueError, IndexError, psutil.Error):
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        process = psutil.Process(pid)
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        # A process id reused after a reboot belongs to another process, perhaps another cluster's server.
        if alive and process.name().startswith("postgres") and str(data.resolve()) in process.cmdline():
            return pid
    return None


def stop_postmaster(pid: int, patience_s: float) -> bool:
    """Stop the server cleanly, closing its connections; False if it still runs after ``patience_s``."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        os.kill(pid, signal.SIGINT)  # what PostgreSQL calls a fast shutdown
        _, alive = psutil.wait_procs([process], timeout=patience_s)
        return not alive
    return True
