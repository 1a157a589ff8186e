"""How long learning has computed, and how often it may go on.

A learning process is put to sleep whenever somebody talks: its budget counts the processor's time, not the
wall clock's.
"""

import time
from dataclasses import dataclass, field
from typing import Final

__all__ = ["TimeBudget"]

_TRIAL: Final = 4
"""Iterations after which their number is settled."""


@dataclass(slots=True)
class TimeBudget:
    """Plans the iterations of one step.

    Attributes:
        wanted: Iterations after which more gain nothing.
        seconds: Of computing there may be.
        threads: That compute side by side.
        spent_s: Computed by earlier processes on the same step.
        planned: Iterations there will be; 0 until that is settled.
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
        """How much of the step is behind us at ``iteration``, 0 to 1; the schedule of the learning rate."""
        return min(iteration / (self.planned or self.wanted), 1.0)

    def eta_s(self, iteration: int) -> float:
        """Seconds of computing that are left."""
        if iteration <= 0:
            return self.seconds
        return self.active_s / iteration * max((self.planned or self.wanted) - iteration, 0)

    def should_continue(self, iteration: int) -> bool:
        """Whether to do ``iteration``, and what there is to learn about the plan before it.

        The number is settled once, so that the schedule is the same whether or not somebody talks meanwhile.
        """
        if self._first is None and not self.planned:
            self._first = self.active_s
        if not self.planned and iteration >= _TRIAL and self._first is not None:
            each = max((self.active_s - self._first) / iteration, 1e-6)
            self.planned = max(min(self.wanted, int((self.seconds - self._first) / each)), iteration)
        return iteration < (self.planned or self.wanted)
