"""Errors in the log: what kind, and where, but not in their own words.

The words of an error that a library raises may quote what it was given, and that is what somebody said. So
of errors nobody foresaw only the kind is told, with every place that it came through, which is what whoever
mends it needs. Our own errors are made of words that may be told.
"""

import traceback
from pathlib import Path
from typing import Final

from kuaimei.errors import KuaimeiError

__all__ = ["kind_of", "trace_of", "words_of"]

_CHAIN_MAX: Final = 8
"""Causes of causes that are told."""


def kind_of(error: BaseException) -> str:
    """The kind of error in a word or two; of our own and of the system's also what they say."""
    if isinstance(error, KuaimeiError):
        return str(error)
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error.strerror}" if error.strerror else type(error).__name__
    return type(error).__name__


def words_of(error: BaseException, given: str) -> str:
    """What a library says went wrong with the text ``given``, unless it quotes it; else the kind of error."""
    said, text = str(error), given.casefold()
    folded = said.casefold()
    quotes = any(text[at : at + 2] in folded for at in range(len(text) - 1) if text[at : at + 2].isalnum())
    return type(error).__name__ if quotes or not said or len(text) < 2 else f"{type(error).__name__}: {said}"


def trace_of(error: BaseException) -> str:
    """A traceback without the errors' own words, the last cause first."""
    told: list[str] = []
    at: BaseException | None = error
    while at is not None and len(told) < _CHAIN_MAX:
        frames = traceback.extract_tb(at.__traceback__)
        lines = [f"  {Path(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames]
        told.insert(0, "\n".join([f"{type(at).__module__}.{type(at).__qualname__}", *lines]))
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return "\nwhich led to\n".join(told)
