"""Retry of transactions that PostgreSQL aborted because of a deadlock.

Two transactions that write the same rows in different order may deadlock, and the deletion of a session locks
everything that belongs to it. The database aborts and rolls back one of the two; the other goes on.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from kuaimei.errors import StoreError

__all__ = ["DEADLOCKS", "Deadlock", "again_after_deadlock"]

DEADLOCKS: Final = frozenset({"40P01", "40001"})
"""SQLSTATE: deadlock detected, could not serialise."""
_TIMES: Final = 5
_PAUSE_S: Final = 0.1
"""Delay before the second attempt; doubled for each further one."""

P = ParamSpec("P")
T = TypeVar("T")


class Deadlock(StoreError):
    """The transaction was aborted in favour of another; a retry may succeed."""


def again_after_deadlock(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Decorate a coroutine function so that it is retried after a `Deadlock`, up to four times.

    Args:
        work: Changes only rows, in one transaction; anything else it does must be repeatable.
    """

    @wraps(work)
    async def repeated(*args: P.args, **kwargs: P.kwargs) -> T:
        for number in range(1, _TIMES):
            try:
                return await work(*args, **kwargs)
            except Deadlock:
                await asyncio.sleep(_PAUSE_S * 2 ** (number - 1))
        return await work(*args, **kwargs)

    return repeated
