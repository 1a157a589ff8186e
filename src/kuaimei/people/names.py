"""Validation of people's names, as given on the command line or by a proxy."""

import re
import unicodedata
from typing import Final

from kuaimei.errors import KuaimeiError
from kuaimei.text.wellformed import is_well_formed

__all__ = ["NAME_LIMIT", "NameRefused", "check_name"]

NAME_LIMIT: Final = 80
"""Maximum characters of a name."""
_ID: Final = re.compile(r"(person|key)_.*", re.DOTALL)


class NameRefused(KuaimeiError):
    """A name that is not allowed."""

    kind = "invalid_name"


def check_name(given: str) -> str:
    """Return the name on one line, composed (NFC).

    Raises:
        NameRefused: If it is empty, too long, not valid text, or has the form of an id.
    """
    if not is_well_formed(given):
        raise NameRefused("a name must not contain NUL or a lone surrogate")
    name = unicodedata.normalize("NFC", " ".join(given.split()))
    if not 1 <= len(name) <= NAME_LIMIT:
        raise NameRefused(f"a name must have 1 to {NAME_LIMIT} characters, not {len(name)}")
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"} for character in name):
        raise NameRefused("a name must not contain control characters or invisible characters")
    if _ID.fullmatch(name):
        raise NameRefused("a name must not start like an id (person_, key_): choose another")
    return name
