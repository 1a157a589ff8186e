"""Helpers for async streams of engines, which have to be closed in every case."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np

from kuaimei.audio.pcm import EMPTY, Pcm

__all__ = ["closing", "collect_pcm"]

T = TypeVar("T")


@asynccontextmanager
async def closing(stream: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close ``stream`` at the end of the block, so that its engine stops at once."""
    try:
        yield stream
    finally:
        aclose = getattr(stream, "aclose", None)
        if aclose is not None:
            await aclose()


async def collect_pcm(stream: AsyncIterator[Pcm]) -> Pcm:
    """Collect all of ``stream`` into one array; empty if the stream is."""
    async with closing(stream) as pieces:
        return np.concatenate([EMPTY, *[pcm async for pcm in pieces]])
