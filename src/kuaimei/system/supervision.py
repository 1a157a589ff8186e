"""Supervision of background tasks: failures are logged and counted, and the task is restarted."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Final

from kuaimei.system.failures import trace_of

__all__ = ["Supervisor"]

_log = logging.getLogger(__name__)

_FIRST_DELAY_S: Final = 0.5
_MAX_DELAY_S: Final = 30.0
_STEADY_S: Final = 60.0
"""A task that has run for this long counts as recovered: its restart delay is reset."""


class Supervisor:
    """Runs background tasks and restarts those that fail; as a context manager it ends them all.

    A task that returns is not restarted. One that raises is restarted after a delay that doubles from 0.5 s
    to 30 s; its stack trace is logged.
    """

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._failing: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._included: list[Supervisor] = []

    @property
    def failures(self) -> Mapping[str, int]:
        """Number of failures of each task, by name; 0 for tasks that never failed."""
        found = {name: self._failures[name] for name in self._tasks}
        for other in self._included:
            found.update(other.failures)
        return found

    @property
    def failing(self) -> frozenset[str]:
        """Names of tasks that failed and have not run for a minute since."""
        return frozenset(self._failing).union(*(other.failing for other in self._included))

    def include(self, other: "Supervisor") -> None:
        """Include the tasks of ``other``, which has another lifetime, in `failures` and `failing`.

        Args:
            other: Its task names must differ from those used here.
        """
        self._included.append(other)

    def start(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run ``work()`` in the background.

        Args:
            name: For the log and for metrics; unique among the running tasks.
            work: Called again after each failure.

        Raises:
            ValueError: If a task of that name is running.
        """
        running = self._tasks.get(name)
        if running is not None and not running.done():
            raise ValueError(f"a background task called {name!r} is already running")
        self._tasks[name] = asyncio.create_task(self._keep_running(name, work), name=name)

    async def close(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def __aenter__(self) -> "Supervisor":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _keep_running(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        loop = asyncio.get_running_loop()
        delay_s = _FIRST_DELAY_S
        while True:
            started = loop.time()
            recovering = loop.call_later(_STEADY_S, self._failing.discard, name)
            try:
                await work()
            except Exception as error:
                if loop.time() - started >= _STEADY_S:
                    delay_s = _FIRST_DELAY_S
                self._failures[name] += 1
                self._failing.add(name)
                told = "background task %s failed; restarting in %g s:\n%s"
                _log.error(told, name, delay_s, trace_of(error))
            else:
                self._failing.discard(name)
                return
            finally:
                recovering.cancel()
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _MAX_DELAY_S)
