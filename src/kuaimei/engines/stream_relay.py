"""Decouples an engine's stream from its consumer, so that a slow consumer does not hold engine units."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from kuaimei.errors import EngineUnavailable

__all__ = ["relayed"]

T = TypeVar("T")


class _Buffer(Generic[T]):
    """Bounded buffer between producer and consumer; `put` waits while it is full."""

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
                told = f"the output was not consumed for {self._patience_s:g} s; the request was aborted"
                raise EngineUnavailable(told) from None
        self._items.append(item)
        self._filled += self._size(item)
        self._changed.set()

    def end(self) -> None:
        self._over = True
        self._changed.set()

    async def take(self) -> T | None:
        """Return the next item, or None at the end of the stream."""
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
    """Yield the items of ``make()``, which runs inside ``place`` independently of the consumer.

    Closing this generator stops the producer at once.

    Args:
        place: Held while items are produced and released when production ends, even if items are still
            buffered.
        make: Returns the engine's stream.
        limit: The producer waits while this amount, measured by ``size``, is buffered.
        size: Returns the size of one item.
        patience_s: The producer gives up if it has waited this many seconds for the consumer.

    Raises:
        EngineUnavailable: If the producer gave up.
        EngineError: Any error of the engine, after the items produced before it.
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
