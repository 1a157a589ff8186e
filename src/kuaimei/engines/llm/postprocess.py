"""From what a model writes to what the screen shows and the voice says."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from kuaimei.text.markdown_filter import MarkdownFilter
from kuaimei.text.wellformed import to_well_formed

__all__ = ["on_screen"]


async def on_screen(written: AsyncGenerator[str, None], prefix: str) -> AsyncGenerator[str, None]:
    """``written`` in Traditional Chinese and without markup, as it comes; closes it too.

    An empty piece, by which a model tells that it is reading, is passed on.

    Args:
        prefix: What of the same reply is on the screen already.
    """
    cleaner = MarkdownFilter(after=prefix)
    held = ""
    async with aclosing(written):
        async for piece in written:
            # A character may come in two halves, and a NUL would be the end of the text in what converts it.
            held += piece
            half = held[-1:] if "\ud800" <= held[-1:] <= "\udbff" else ""
            whole, held = held[: len(held) - len(half)], half
            if (text := cleaner.push(to_well_formed(whole))) or not piece:
                yield text
        if text := cleaner.push(to_well_formed(held)) + cleaner.flush():
            yield text
