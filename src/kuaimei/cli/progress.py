"""Progress of long commands: bars on a terminal, occasional lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from kuaimei.cli import console
from kuaimei.evaluation.progress import ReportProgress

__all__ = ["steps"]

_LINE_EVERY_S: Final = 5.0


@contextmanager
def steps() -> Iterator[ReportProgress]:
    """Yield a callback that shows progress, given (task, done, total)."""
    err = Console(stderr=True)
    if not err.is_terminal:
        yield _lines(console.note)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err) as progress:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield told


def _lines(note: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> ReportProgress:
    last = clock()

    def told(what: str, done: int, total: int) -> None:
        nonlocal last
        now = clock()
        if done == total or now - last >= _LINE_EVERY_S:
            last = now
            note(f"{what}: {done} of {total}")

    return told
