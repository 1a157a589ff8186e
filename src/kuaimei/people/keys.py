"""Keys: made, recognised, known by their digest.

A key is 160 random bits, so nobody can find it from its SHA-256 by trying: a digest that is slow on purpose,
as passwords need it, would only cost every request time.
"""

import re
import secrets
from hashlib import sha256
from typing import Final

__all__ = ["digest", "is_key", "new_key", "prefix_of"]

_MARK: Final = "km_"
"""By which scanners and people see that it is a key, and whose."""
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no letter that is taken for a digit."""
_LENGTH: Final = 32
_KEY: Final = re.compile(f"{_MARK}[{_ALPHABET}]{{{_LENGTH}}}")
_MISREAD: Final = str.maketrans("oil", "011")
_PREFIX: Final = len(_MARK) + 4
"""Characters by which a key is known in lists; 140 of its bits stay secret."""


def new_key() -> str:
    """A new key such as ``km_7f3k…``."""
    return _MARK + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def is_key(text: str) -> bool:
    """Whether ``text`` has the form of a key, typed in whichever case."""
    return _KEY.fullmatch(_plain(text)) is not None


def digest(key: str) -> str:
    """SHA-256 in hexadecimal, by which a key is recognised."""
    return sha256(_plain(key).encode("utf-8", "surrogatepass")).hexdigest()


def prefix_of(key: str) -> str:
    """The first characters, to know a key by."""
    return _plain(key)[:_PREFIX]


def _plain(text: str) -> str:
    """As it was made: lower case, and no letter that was read for a digit."""
    lowered = text.strip().lower()
    return _MARK + lowered[len(_MARK) :].translate(_MISREAD) if lowered.startswith(_MARK) else text
