"""From what a model writes to what the screen shows and the voice says."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from kuaimei.text.spoken import SpokenStream

__all__ = ["on_screen"]


async def on_screen(written: AsyncGenerator[str, None], prefix: str) -> AsyncGenerator[str, None]:
    """``written`` in Traditional Chinese and without markup, as it comes; closes it too.

    Args:
        prefix: What of the same reply is on the screen already.
    """
    cleaner = SpokenStream(after=prefix)
    async with aclosing(written):
        async for piece in written:
            if text := cleaner.push(piece):
                yield text
        if text := cleaner.flush():
            yield text
