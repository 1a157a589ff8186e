"""Set of the background tasks of a conversation."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from kuaimei.system.failures import trace_of

__all__ = ["TaskSet"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


class TaskSet:
    """Background tasks of a conversation: kept referenced while they run, and all cancelled by `close`."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``work`` as a task; its failure is logged at debug level."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    async def close(self) -> None:
        """Cancel all running tasks and wait until they have ended."""
        while self._running:
            for task in self._running:
                task.cancel()
            await asyncio.wait(self._running)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.debug("a conversation task failed:\n%s", trace_of(error))
