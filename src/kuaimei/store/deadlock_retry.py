"""Transactions that PostgreSQL ended because each of two waited for the other: they are tried again.

Whoever writes in several rows may meet somebody who writes in the same ones in another order, and what
deletes a session locks whatever hangs on it. One of the two is ended by the database, which has changed
nothing then; the other goes on.
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
"""Before the second time; twice as long before each further one."""

P = ParamSpec("P")
T = TypeVar("T")


class Deadlock(StoreError):
    """The transaction was ended in favour of another; tried again it may well succeed."""


def again_after_deadlock(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Decorate a coroutine function so that it begins anew, up to four times, when it met a `Deadlock`.

    Args:
        work: Changes nothing but rows, in one transaction; or what else it does can be done twice.
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
