"""Names of people, as they are given on the command line or by a proxy."""

import re
import unicodedata
from typing import Final

from kuaimei.errors import KuaimeiError
from kuaimei.text.wellformed import is_well_formed

__all__ = ["NAME_LIMIT", "NameRefused", "check_name"]

NAME_LIMIT: Final = 80
"""Characters."""
_ID: Final = re.compile(r"(person|key)_.*", re.DOTALL)


class NameRefused(KuaimeiError):
    """A name that nobody can have."""

    kind = "invalid_name"


def check_name(given: str) -> str:
    """The name in one line, composed (NFC).

    Raises:
        NameRefused: If it is empty, too long, no text, or like an id.
    """
    if not is_well_formed(given):
        raise NameRefused("a name is text: it may hold neither NUL nor half of a surrogate pair")
    name = unicodedata.normalize("NFC", " ".join(given.split()))
    if not 1 <= len(name) <= NAME_LIMIT:
        raise NameRefused(f"a name has 1 to {NAME_LIMIT} characters, not {len(name)}")
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"} for character in name):
        raise NameRefused("a name may hold no control characters and none that cannot be seen")
    if _ID.fullmatch(name):
        raise NameRefused("a name may not begin like an id (person_, key_): choose another")
    return name
