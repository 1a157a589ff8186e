"""Text from outside that a database, a JSON encoder or a C library can hold.

Two things pass for text in Python and in JSON that are none elsewhere: NUL (U+0000), which PostgreSQL refuses
and at which a C string ends, and lone surrogates (U+D800 to U+DFFF), which UTF-8 cannot encode. Every door
through which text comes in either refuses them (`WellFormedText`, for what a client sends and can mend) or
replaces them (`to_well_formed`, for what another engine says and nobody can mend).
"""

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator

__all__ = ["WellFormedText", "is_well_formed", "require_well_formed", "to_well_formed"]

_ILL_FORMED: Final = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def is_well_formed(text: str) -> bool:
    """Whether ``text`` holds neither NUL nor a lone surrogate."""
    if text.isascii():  # known of a string without looking; megabytes of base64 are searched in no time
        return "\x00" not in text
    return _ILL_FORMED.search(text) is None


def to_well_formed(text: str) -> str:
    """``text`` with every lone surrogate replaced by U+FFFD, and without NUL.

    A surrogate pair that was split over two characters of the string is put together first: that is how a
    character outside the basic plane arrives whose halves came in two pieces of a stream.
    """
    if is_well_formed(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _ILL_FORMED.sub(_REPLACEMENT, joined.replace("\x00", ""))


def require_well_formed(text: str) -> str:
    """``text`` itself.

    Raises:
        ValueError: If it holds NUL or a lone surrogate, saying which and where.
    """
    if found := _ILL_FORMED.search(text):
        kind = "a NUL character" if found[0] == "\x00" else "half of a surrogate pair"
        raise ValueError(f"the text holds {kind} at position {found.start()}, which is no text")
    return text


WellFormedText: TypeAlias = Annotated[str, AfterValidator(require_well_formed)]
"""A string field of a model at the boundary."""
