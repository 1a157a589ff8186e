"""Training loop shared by both steps: time budget, checkpoints, progress events, stopping on request."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from kuaimei.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from kuaimei.training.progress_events import ProgressReporter
from kuaimei.training.time_budget import TimeBudget

__all__ = ["Trainable", "train"]

_EVERY: Final = 10
_MEMORY: Final = 0.8
"""Weight of the past in the running mean of the similarity: single sentences vary."""


class Trainable(Protocol):
    """Trainer of one step, run in iterations."""

    iterations: int

    def iterate(self, iteration: int, fraction: float) -> Mapping[str, float]:
        """Run one iteration; return the similarity by encoder, which may be empty.

        Args:
            iteration: Number of the iteration, from 0.
            fraction: Share of the step done, 0 to 1.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Return everything that `restore` needs: tensors and numbers."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by `state`."""
        ...


def train(
    learner: Trainable,
    checkpoint: Path,
    reports: ProgressReporter,
    *,
    fingerprint: str,
    seconds: float,
    threads: int,
    stopping: Callable[[], bool],
) -> Mapping[str, float] | None:
    """Iterate until done, starting from the checkpoint if there is one.

    Args:
        learner: Trainer of the step.
        checkpoint: File to resume from, written every few iterations and at the end.
        reports: Receives the progress after every iteration.
        fingerprint: Hash of the training data; a checkpoint with another one is ignored.
        seconds: Budget of computing time, including that before the checkpoint.
        threads: Number of threads that compute in parallel.
        stopping: Asked before every iteration; True: the state is saved and None returned.

    Returns:
        Similarity by encoder, or None if stopped.
    """
    pace = TimeBudget(learner.iterations, seconds, threads)
    begin, similarity = 0, dict[str, float]()
    last = load_checkpoint(checkpoint)
    if last is not None and last.state.get("fingerprint") == fingerprint:
        learner.restore(last.state["learner"])
        begin, similarity = last.step, dict(last.state["similarity"])
        pace.planned, pace.spent_s = last.planned, last.active_s

    def save(at: int) -> None:
        state = {"fingerprint": fingerprint, "learner": learner.state(), "similarity": dict(similarity)}
        save_checkpoint(checkpoint, Checkpoint(at, pace.planned, pace.active_s, state))

    at = begin
    while pace.should_continue(at):
        if stopping():
            save(at)
            return None
        for name, value in learner.iterate(at, pace.fraction(at)).items():
            before = similarity.get(name, value)
            similarity[name] = _MEMORY * before + (1.0 - _MEMORY) * value
        at += 1
        if at % _EVERY == 0:
            save(at)
        reports.progress(pace.fraction(at), pace.eta_s(at), similarity)
    if at != begin:
        save(at)
    return similarity
