"""Streams of engines, closed whatever happens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np

from kuaimei.audio.pcm import EMPTY, Pcm

__all__ = ["closing", "collect_pcm"]

T = TypeVar("T")


@asynccontextmanager
async def closing(stream: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Use ``stream`` within the block and close it at once afterwards, so that its engine stops."""
    try:
        yield stream
    finally:
        aclose = getattr(stream, "aclose", None)
        if aclose is not None:
            await aclose()


async def collect_pcm(stream: AsyncIterator[Pcm]) -> Pcm:
    """All of ``stream`` as one piece, for whoever does not play it while it is made; `EMPTY` of nothing."""
    async with closing(stream) as pieces:
        return np.concatenate([EMPTY, *[pcm async for pcm in pieces]])
