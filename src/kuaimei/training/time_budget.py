"""Computing-time budget of training.

A training process is paused during conversations: its budget counts processor time, not the wall clock.
"""

import time
from dataclasses import dataclass, field
from typing import Final

__all__ = ["TimeBudget"]

_TRIAL: Final = 4
"""Iterations after which their total number is settled."""


@dataclass(slots=True)
class TimeBudget:
    """Plans the iterations of one step.

    Attributes:
        wanted: Iterations after which more bring no gain.
        seconds: Budget of computing time.
        threads: Number of threads that compute in parallel.
        spent_s: Seconds computed by earlier processes on the same step.
        planned: Total number of iterations; 0 until it is settled.
    """

    wanted: int
    seconds: float
    threads: int
    spent_s: float = 0.0
    planned: int = 0
    _begun: float = field(default_factory=time.process_time)
    _first: float | None = None

    @property
    def active_s(self) -> float:
        """Seconds of computing so far, those of earlier processes included."""
        return self.spent_s + (time.process_time() - self._begun) / self.threads

    def fraction(self, iteration: int) -> float:
        """Return the share of the step done at ``iteration``, 0 to 1; it sets the learning rate."""
        return min(iteration / (self.planned or self.wanted), 1.0)

    def eta_s(self, iteration: int) -> float:
        """Return the estimated seconds of computing left."""
        if iteration <= 0:
            return self.seconds
        return self.active_s / iteration * max((self.planned or self.wanted) - iteration, 0)

    def should_continue(self, iteration: int) -> bool:
        """Return True if ``iteration`` is to be done; updates the plan from the time measured so far.

        The number is settled once, so that the schedule is the same with or without conversations meanwhile.
        """
        if self._first is None and not self.planned:
            self._first = self.active_s
        if not self.planned and iteration >= _TRIAL and self._first is not None:
            each = max((self.active_s - self._first) / iteration, 1e-6)
            self.planned = max(min(self.wanted, int((self.seconds - self._first) / each)), iteration)
        return iteration < (self.planned or self.wanted)
