"""The process that serves a cluster: found, and told to stop."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

__all__ = ["find_postmaster", "stop_postmaster"]


def find_postmaster(data: Path) -> int | None:
    """Process id of the server of the cluster in ``data``; None if this process sees none.

    None does not mean that there is none: it may run in another container, or on another machine.
    """
    with suppress(OSError, ValueError, IndexError, psutil.Error):
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        process = psutil.Process(pid)
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        # A number used again after a reboot is some other process, perhaps another cluster's.
        if alive and process.name().startswith("postgres") and str(data.resolve()) in process.cmdline():
            return pid
    return None


def stop_postmaster(pid: int, patience_s: float) -> bool:
    """Have the server stop cleanly, ending its connections; False if it is there after ``patience_s``."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        os.kill(pid, signal.SIGINT)  # what PostgreSQL calls a fast shutdown
        _, alive = psutil.wait_procs([process], timeout=patience_s)
        return not alive
    return True
