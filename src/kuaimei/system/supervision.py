"""Background tasks that must not end: a failure is logged and counted, and the task is started again."""

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
"""A task that ran for so long has recovered: should it fail again, it is started again soon."""


class Supervisor:
    """Starts background tasks, and starts them again when they fail; a context manager that ends them all.

    A task that returns is done and not started again. One that raises is, first after 0.5 s, then ever later,
    up to 30 s; where the error came from goes to the log, for nobody else hears of it.
    """

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._failing: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._included: list[Supervisor] = []

    @property
    def failures(self) -> Mapping[str, int]:
        """How often each task has failed, by its name; 0 for those that never did."""
        found = {name: self._failures[name] for name in self._tasks}
        for other in self._included:
            found.update(other.failures)
        return found

    @property
    def failing(self) -> frozenset[str]:
        """Names of tasks that failed and have not run for a minute since."""
        return frozenset(self._failing).union(*(other.failing for other in self._included))

    def include(self, other: "Supervisor") -> None:
        """Tell of the failures of ``other``'s tasks, too, which live for a shorter or longer time than these.

        Args:
            other: Its tasks have other names than those here.
        """
        self._included.append(other)

    def start(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run ``work()`` in the background.

        Args:
            name: For the log and for metrics; one task at a time has it.
            work: Called again after each failure.

        Raises:
            ValueError: If a task of that name is running.
        """
        running = self._tasks.get(name)
        if running is not None and not running.done():
            raise ValueError(f"a background task called {name!r} is running already")
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
                told = "the background task %s failed; it is started again in %g s:\n%s"
                _log.error(told, name, delay_s, trace_of(error))
            else:
                self._failing.discard(name)
                return
            finally:
                recovering.cancel()
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _MAX_DELAY_S)
