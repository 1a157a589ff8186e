"""Validation of external text, so that a database, a JSON encoder or a C library accepts it.

Two things are valid text in Python and JSON but not elsewhere: NUL (U+0000), which PostgreSQL rejects and at
which a C string ends, and lone surrogates (U+D800 to U+DFFF), which UTF-8 cannot encode. Every entry point
for text either rejects them (`WellFormedText`, for input that a client can correct) or replaces them
(`to_well_formed`, for the output of engines).
"""

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator

__all__ = ["WellFormedText", "is_well_formed", "require_well_formed", "to_well_formed"]

_ILL_FORMED: Final = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def is_well_formed(text: str) -> bool:
    """Return whether ``text`` holds neither NUL nor a lone surrogate."""
    if text.isascii():  # O(1), and makes the check of megabytes of base64 fast
        return "\x00" not in text
    return _ILL_FORMED.search(text) is None


def to_well_formed(text: str) -> str:
    """Replace every lone surrogate by U+FFFD and remove NUL.

    A surrogate pair stored as two characters of the string is combined first: a character outside the basic
    plane arrives like this if its halves came in two pieces of a stream.
    """
    if is_well_formed(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _ILL_FORMED.sub(_REPLACEMENT, joined.replace("\x00", ""))


def require_well_formed(text: str) -> str:
    """Return ``text`` unchanged if it is well-formed.

    Raises:
        ValueError: If it holds NUL or a lone surrogate; the message says which and where.
    """
    if found := _ILL_FORMED.search(text):
        kind = "a NUL character" if found[0] == "\x00" else "a lone surrogate"
        raise ValueError(f"the text contains {kind} at position {found.start()}, which is not allowed")
    return text


WellFormedText: TypeAlias = Annotated[str, AfterValidator(require_well_formed)]
"""Type of string fields in models of external input."""
