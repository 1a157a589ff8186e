"""Download progress: bars on a terminal, occasional lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from kuaimei.models.errors import mb

__all__ = ["BarProgress", "LineProgress", "bars"]

_LINE_EVERY_S = 5.0


class BarProgress:
    """Progress bars for each model and for all together, with size, rate and time left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._all = progress.add_task("all", total=0, what="")
        self._tasks: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}
        self._lock = Lock()

    def set_total(self, name: str, total: int) -> None:
        """See `kuaimei.models.progress.Progress`."""
        with self._lock:
            self._totals[name] = total
            self._progress.update(self._task(name), total=total)
            self._progress.update(self._all, total=sum(self._totals.values()))

    def advance(self, name: str, size: int) -> None:
        """See `kuaimei.models.progress.Progress`."""
        with self._lock:
            self._progress.update(self._task(name), advance=size)
            self._progress.update(self._all, advance=size)

    def say(self, name: str, what: str) -> None:
        """See `kuaimei.models.progress.Progress`."""
        with self._lock:
            self._progress.update(self._task(name), what=what)

    def _task(self, name: str) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=None, what="")
        return self._tasks[name]


class LineProgress:
    """Log lines with the stage of each model and the overall progress.

    Args:
        note: Writes a line.
        clock: Returns seconds, monotonic.
    """

    def __init__(self, note: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._note = note
        self._clock = clock
        self._totals: dict[str, int] = {}
        self._done = 0
        self._started = self._told = clock()
        self._said: dict[str, str] = {}
        self._lock = Lock()

    def set_total(self, name: str, total: int) -> None:
        """See `kuaimei.models.progress.Progress`."""
        with self._lock:
            self._totals[name] = total

    def advance(self, name: str, size: int) -> None:
        """See `kuaimei.models.progress.Progress`."""
        with self._lock:
            self._done += size
            now = self._clock()
            if now - self._told >= _LINE_EVERY_S:
                self._told = now
                total = sum(self._totals.values())
                rate = self._done / (now - self._started)
                left = max(0.0, (total - self._done) / rate) if rate > 0 else 0.0
                self._note(f"{mb(self._done)} of {mb(total)}, {mb(rate)}/s, {left:.0f} s left")

    def say(self, name: str, what: str) -> None:
        """See `kuaimei.models.progress.Progress`."""
        with self._lock:
            stage = what.rstrip("0123456789% ")  # percentages are stripped: one line for each stage
            if self._said.get(name) != stage:
                self._said[name] = stage
                self._note(f"{name}: {stage}")


@contextmanager
def bars() -> Iterator[BarProgress]:
    """Show progress bars on stderr for the duration of the block."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield BarProgress(progress)
