"""Converts a model's output to the text that is displayed and spoken."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from kuaimei.text.markdown_filter import MarkdownFilter
from kuaimei.text.wellformed import to_well_formed

__all__ = ["on_screen"]


async def on_screen(written: AsyncGenerator[str, None], prefix: str) -> AsyncGenerator[str, None]:
    """Yield ``written`` in Traditional Chinese and without markup, as it arrives; closes it, too.

    An empty piece, which signals that the model is reading, is passed on.

    Args:
        written: The model's output.
        prefix: The part of the same reply that is displayed already.
    """
    cleaner = MarkdownFilter(after=prefix)
    held = ""
    async with aclosing(written):
        async for piece in written:
            # A character may arrive in two halves; a NUL would end the text inside the converter.
            held += piece
            half = held[-1:] if "\ud800" <= held[-1:] <= "\udbff" else ""
            whole, held = held[: len(held) - len(half)], half
            if (text := cleaner.push(to_well_formed(whole))) or not piece:
                yield text
        if text := cleaner.push(to_well_formed(held)) + cleaner.flush():
            yield text
