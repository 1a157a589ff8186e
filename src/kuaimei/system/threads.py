"""Blocking work in threads beside the event loop."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

__all__ = ["to_the_end"]

P = ParamSpec("P")
T = TypeVar("T")


async def to_the_end(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``function`` in a thread and wait for its end, even if the caller is cancelled meanwhile.

    A thread cannot be stopped; a caller that did not wait would interfere with its later effects.

    Raises:
        asyncio.CancelledError: After the end of ``function``, if the caller was cancelled.
    """
    task = asyncio.ensure_future(asyncio.to_thread(partial(function, *args, **kwargs)))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # marks it as retrieved, so that asyncio does not log it
        raise
