"""Starts every kind of child that the program starts, and counts how often that ran a fork handler.

Run as a script: ``starting_children.py FOLDER``. Prints a JSON object.
"""

import asyncio
import ctypes
import json
import os
import sys
from pathlib import Path

import numpy as np

from kuaimei.audio.decode import decode
from kuaimei.audio.encode import encode
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.models.pypi import pip_settings
from kuaimei.settings import Settings
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.voices.training.process import TrainingCrashed, TrainingFailed, run_training_process

counted = {"handlers": 0}


def prepare() -> None:
    """Called before a fork, as the handlers of the libraries that compute."""
    counted["handlers"] += 1


def main(folder: Path) -> None:
    libc = ctypes.CDLL(None)
    handler = ctypes.CFUNCTYPE(None)(prepare)
    if libc.__register_atfork(handler, None, None, None) != 0:
        raise SystemExit("no handler can be registered")
    found: dict[str, object] = {}
    server = EmbeddedPostgres(folder / "postgres", Settings().store.database_dir)
    server.start()
    found["account"] = server.data.stat().st_uid
    pid = int((server.data / "postmaster.pid").read_text().split()[0])
    found["status"] = Path(f"/proc/{pid}/status").read_text()
    server.stop()
    server.delete()
    asyncio.run(children(folder))
    pip_settings()
    found["by starting children"] = counted["handlers"]
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    found["by a fork"] = counted["handlers"]
    json.dump(found, sys.stdout)


async def children(folder: Path) -> None:
    assert len(await decode(encode(np.zeros(8000, np.int16), 16000, "wav"))) == 8000
    job = folder / "job"
    job.mkdir()
    try:
        await run_training_process(job, Path(sys.executable), IdleMonitor())
    except (TrainingCrashed, TrainingFailed):
        pass  # there is nothing in its folder: it was started, which is all that counts here
    else:
        raise SystemExit("nothing could be learned, and yet it was")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
