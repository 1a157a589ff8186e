"""Checkpoints, from which another training process resumes however the previous one ended."""

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

__all__ = ["Checkpoint", "load_checkpoint", "replace_file", "save_checkpoint"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State of one training step.

    Attributes:
        step: Iterations done.
        planned: Iterations in total.
        active_s: Seconds of computing spent.
        state: Tensors and numbers of the trainer.
    """

    step: int
    planned: int
    active_s: float
    state: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint atomically: a reader finds either the old or the new one, complete."""
    content = {
        "step": checkpoint.step,
        "planned": checkpoint.planned,
        "active_s": checkpoint.active_s,
        "state": checkpoint.state,
    }
    replace_file(path, lambda file: torch.save(content, file))


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Load the last checkpoint; None if there is none that can be read."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return Checkpoint(content["step"], content["planned"], content["active_s"], content["state"])
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError):
        return None


def replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically, safe against being killed and against loss of power."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
