"""Privacy-preserving error descriptions for the log: the type and place of an error, not its message.

The message of a library's exception may quote its input, that is, what a user said. Of unexpected errors
only the type and the stack are logged, which is enough for debugging. The messages of our own errors hold
no user content.
"""

import traceback
from pathlib import Path
from typing import Final

from kuaimei.errors import KuaimeiError

__all__ = ["kind_of", "trace_of", "words_of"]

_CHAIN_MAX: Final = 8
"""Maximum length of the chain of causes in a trace."""


def kind_of(error: BaseException) -> str:
    """Return the type of ``error``; the message of our own errors, and also that of system errors."""
    if isinstance(error, KuaimeiError):
        return str(error)
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error.strerror}" if error.strerror else type(error).__name__
    return type(error).__name__


def words_of(error: BaseException, given: str) -> str:
    """Return type and message of a library's error, or only the type if it may quote the input ``given``.

    A message counts as quoting if it contains any two consecutive characters (letters, digits, Han) of
    ``given``.
    """
    said, text = str(error), given.casefold()
    folded = said.casefold()
    quotes = any(text[at : at + 2] in folded for at in range(len(text) - 1) if text[at : at + 2].isalnum())
    return type(error).__name__ if quotes or not said or len(text) < 2 else f"{type(error).__name__}: {said}"


def trace_of(error: BaseException) -> str:
    """Return a traceback without error messages, the root cause first."""
    told: list[str] = []
    at: BaseException | None = error
    while at is not None and len(told) < _CHAIN_MAX:
        frames = traceback.extract_tb(at.__traceback__)
        lines = [f"  {Path(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames]
        told.insert(0, "\n".join([f"{type(at).__module__}.{type(at).__qualname__}", *lines]))
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return "\nwhich led to\n".join(told)
