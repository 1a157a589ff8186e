"""Training subprocess: start, events, pausing during conversations, termination."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.errors import KuaimeiError
from kuaimei.system.processes import bare_environment

__all__ = ["TrainingCrashed", "TrainingFailed", "TrainingProgress", "TrainingResult", "run_training_process"]

_log = logging.getLogger(__name__)

_SPAWN_CHILD: Final = Path(__file__).with_name("_spawn_child.py")
_PACKAGE: Final = Path(__file__).parents[3]
"""Folder that holds the package, the only part of it that the training environment sees."""
_SAVING_S: Final = 1.5
"""Time to save a checkpoint before the process is killed; else the iterations since the last one are lost."""
_LINE: Final = 1 << 20
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "CUDA_VISIBLE_DEVICES")


class TrainingFailed(KuaimeiError):
    """Raised if the voice cannot be trained; a retry would not help."""

    kind = "learning"


class TrainingCrashed(KuaimeiError):
    """Raised if the process ended without a result; its progress is in its checkpoint."""

    kind = "learner_died"


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Progress of a training step.

    Attributes:
        fraction: Fraction done, from 0 to 1.
        eta_s: Seconds of computing left; None: unknown.
        similarity: Cosine by encoder.
    """

    fraction: float
    eta_s: float | None
    similarity: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Result of a training step.

    Attributes:
        style: ``.npy`` file, shape ``(256,)``.
        decoder: ``.npz`` file; None: the step trained no decoder.
        similarity: Cosine by encoder.
    """

    style: Path
    decoder: Path | None
    similarity: Mapping[str, float]


async def run_training_process(
    folder: Path,
    python: Path,
    idle_monitor: IdleMonitor,
    *,
    threads: int = 1,
    progress: Callable[[TrainingProgress], None] = lambda _: None,
    held: Callable[[bool], None] = lambda _: None,
) -> TrainingResult:
    """Run the job in ``folder``, resuming from its checkpoint if there is one.

    Cancelling saves a checkpoint and ends the process. It is stopped (SIGSTOP) during conversations.

    Args:
        folder: Job folder; see `kuaimei.training.job`.
        python: Interpreter of the training environment.
        idle_monitor: Reports conversations.
        threads: Number of cores to use.
        progress: Called with each progress event.
        held: Called when the process is paused (True) and resumed (False).

    Raises:
        TrainingFailed: If the process reported a failure.
        TrainingCrashed: If it ended without a result.
    """
    log = folder / "log.txt"
    with await asyncio.to_thread(log.open, "ab") as complaints:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(_SPAWN_CHILD),
            str(os.getpid()),
            str(python),
            "-m",
            "kuaimei.training",
            str(folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            env=_environment(threads),
            limit=_LINE,
        )

    def hold(busy: bool) -> None:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGSTOP if busy else signal.SIGCONT)
            held(busy)

    unsubscribe = idle_monitor.subscribe(hold)
    try:
        return await _listen(process, folder, progress)
    finally:
        unsubscribe()
        await _end(process)


async def _listen(
    process: asyncio.subprocess.Process, folder: Path, progress: Callable[[TrainingProgress], None]
) -> TrainingResult:
    assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
    learned: TrainingResult | None = None
    failure: str | None = None
    try:
        async for line in process.stdout:
            event = _parsed(line)
            try:
                match event.get("event"):
                    case "progress":
                        eta_s = event.get("eta_s")
                        progress(
                            TrainingProgress(
                                min(1.0, max(0.0, float(event["fraction"]))),
                                None if eta_s is None else float(eta_s),
                                _similarity(event),
                            )
                        )
                    case "done":
                        decoder = event.get("decoder")
                        learned = TrainingResult(
                            folder / event["style"], folder / decoder if decoder else None, _similarity(event)
                        )
                    case "failed":
                        failure = str(event["message"])
            except (KeyError, TypeError, ValueError):
                _log.warning("the training process sent an invalid event: %.200r", line)
    except ValueError as error:  # a line longer than the limit
        raise TrainingCrashed("the training process sent output that cannot be parsed") from error
    status = await process.wait()
    if failure is not None:
        raise TrainingFailed(failure)
    if learned is None:
        raise TrainingCrashed(_died(status))
    return learned


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let the process save, then ensure that it has ended; SIGCONT lets a stopped one handle SIGTERM."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
    try:
        async with asyncio.timeout(_SAVING_S):
            await _drain_stderr(process)
    except TimeoutError:
        _log.warning("the training process did not stop in time; killing it")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _drain_stderr(process: asyncio.subprocess.Process) -> None:
    """Wait for the end while reading stdout: a full pipe would block the process."""
    if process.stdout is not None:
        with suppress(ValueError):
            while await process.stdout.read(1 << 16):
                pass
    await process.wait()


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        _log.warning("the training process sent an invalid event: %.200r", line)
        return {}
    return event


def _similarity(event: Mapping[str, Any]) -> Mapping[str, float]:
    return {str(name): float(value) for name, value in (event.get("similarity") or {}).items()}


def _environment(threads: int) -> Mapping[str, str]:
    own = {"PYTHONPATH": str(_PACKAGE), "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
    return bare_environment(*_PASSED_ON, **own)


def _died(status: int) -> str:
    if status == -signal.SIGKILL:
        return "the training process was killed, possibly because of too little memory (it needs 4.5 GB)"
    how = f"was terminated by signal {-status}" if status < 0 else f"exited with status {status}"
    return f"the training process {how}; its log is in the job's folder"
