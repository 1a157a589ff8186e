"""An engine's stream read at the engine's own pace: whoever listens does not hold its place in the queue."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from kuaimei.errors import EngineUnavailable

__all__ = ["relayed"]

T = TypeVar("T")


class _Buffer(Generic[T]):
    """What was made and not taken yet; the maker waits while it is full."""

    def __init__(self, limit: int, size: Callable[[T], int], patience_s: float) -> None:
        self._limit = limit
        self._size = size
        self._patience_s = patience_s
        self._items: deque[T] = deque()
        self._filled = 0
        self._changed = asyncio.Event()
        self._over = False

    async def put(self, item: T) -> None:
        while self._filled >= self._limit:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._changed.wait()
            except TimeoutError:
                told = f"nobody took what was made for {self._patience_s:g} s; it is given up"
                raise EngineUnavailable(told) from None
        self._items.append(item)
        self._filled += self._size(item)
        self._changed.set()

    def end(self) -> None:
        self._over = True
        self._changed.set()

    async def take(self) -> T | None:
        """None: there will be no more."""
        while not self._items:
            if self._over:
                return None
            self._changed.clear()
            await self._changed.wait()
        item = self._items.popleft()
        self._filled -= self._size(item)
        self._changed.set()
        return item


async def relayed(
    place: AbstractAsyncContextManager[None],
    make: Callable[[], AsyncIterator[T]],
    *,
    limit: int,
    size: Callable[[T], int] = lambda item: 1,
    patience_s: float,
) -> AsyncGenerator[T, None]:
    """What ``make()`` gives, made within ``place`` and taken outside of it.

    Closing this ends the making at once.

    Args:
        place: Held while something is made, and given back when that is done, however much is still to be
            taken.
        make: The engine's stream.
        limit: The maker waits while so much, by ``size``, was made and not taken.
        size: Of one item.
        patience_s: … and gives up when for so long nobody took anything.

    Raises:
        EngineUnavailable: If it gave up.
        EngineError: Whatever the engine raises, after what was made before.
    """
    buffer: _Buffer[T] = _Buffer(limit, size, patience_s)

    async def work() -> None:
        try:
            async with place:
                stream = make()
                try:
                    async for item in stream:
                        await buffer.put(item)
                finally:
                    close = getattr(stream, "aclose", None)
                    if close is not None:
                        await close()
        finally:
            buffer.end()

    working = asyncio.ensure_future(work())
    try:
        while (item := await buffer.take()) is not None:
            yield item
        await working
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
