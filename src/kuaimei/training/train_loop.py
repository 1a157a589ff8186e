"""The loop that both steps of learning share: pace, checkpoints, reports, and stopping when asked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from kuaimei.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from kuaimei.training.progress_events import ProgressReporter
from kuaimei.training.time_budget import TimeBudget

__all__ = ["Trainable", "train"]

_EVERY: Final = 10
_MEMORY: Final = 0.8
"""Of the running mean of the similarity: single sentences differ."""


class Trainable(Protocol):
    """Something learned in iterations."""

    iterations: int

    def iterate(self, iteration: int, fraction: float) -> Mapping[str, float]:
        """Learn a little; ``fraction`` of the way is behind. Similarity so far by encoder; may be empty."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs: tensors and numbers."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Be as when `state` was asked."""
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
    """Iterate until done, from the checkpoint if there is one.

    Args:
        learner: What learns.
        checkpoint: File to go on from, written every few iterations and at the end.
        reports: Told of every iteration.
        fingerprint: Of what is learned from; a checkpoint with another is not gone on from.
        seconds: Of computing there may be, those before the checkpoint included.
        threads: That compute side by side.
        stopping: Asked before every iteration; when true, the state is saved and None returned.

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
