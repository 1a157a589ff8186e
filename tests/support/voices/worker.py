"""Stands in for the learning process: does what the file ``orders.json`` beside it says, step by step.

Run as an interpreter would be: ``… -m kuaimei.training FOLDER``. Each order is one of ``progress``
(with a fraction), ``hang``, ``die`` (by a signal, once per file ``died.N``), ``fail`` (with a sentence),
``noise`` and ``done``. What was done is noted in ``checkpoint`` in the job's folder, as the real one does.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

here, folder = Path(sys.argv[0]).parent, Path(sys.argv[-1])
checkpoint = folder / "checkpoint"


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def note(number: int) -> None:
    """Whole or not at all: it may be stopped in the middle of that."""
    new = checkpoint.with_name("checkpoint.new")
    new.write_text(str(number))
    new.replace(checkpoint)


def stop(*_: object) -> None:
    say(event="stopped")
    os._exit(0)


signal.signal(signal.SIGTERM, stop)
job = json.loads((folder / "job.json").read_text())
orders = json.loads((here / "orders.json").read_text()).get(job["step"], [["done", 0.9]])
begin = int(checkpoint.read_text()) if checkpoint.exists() else 0
with (here / "runs").open("a") as runs:
    print(json.dumps({"pid": os.getpid(), "step": job["step"], "from": begin, "said": job}), file=runs)
for number, (what, value) in enumerate(orders):
    if number < begin:
        continue
    if what == "progress":
        note(number + 1)
        say(event="progress", fraction=value, eta_s=10, similarity={"ge2e": 0.9, "campplus": value / 2})
    elif what == "noise":
        print(value, flush=True)
    elif what == "hang":
        while True:
            time.sleep(0.01)
    elif what == "die":
        note(number + 1)
        os.kill(os.getpid(), value)
    elif what == "fail":
        say(event="failed", message=value)
        sys.exit(1)
    elif what == "done":
        style = np.load(folder / job["style"]) + 1.0
        np.save(folder / "style.out.npy", style.astype(np.float32))
        decoder = "decoder.npz" if job["step"] == "decoder" else None
        if decoder:
            np.savez(folder / decoder, change=np.ones(3, np.float32))
        say(event="done", style="style.out.npy", decoder=decoder, similarity={"campplus": value})
    note(number + 1)
