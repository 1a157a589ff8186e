"""API keys: generation, validation and digest.

A key has 160 random bits, so it cannot be found from its SHA-256 by trying. A slow digest, as passwords need
it, would only add time to every request.
"""

import re
import secrets
from hashlib import sha256
from typing import Final

__all__ = ["digest", "is_key", "new_key", "prefix_of"]

_MARK: Final = "km_"
"""Prefix by which secret scanners and people recognize a kuaimei key."""
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: without letters that are mistaken for digits."""
_LENGTH: Final = 32
_KEY: Final = re.compile(f"{_MARK}[{_ALPHABET}]{{{_LENGTH}}}")
_MISREAD: Final = str.maketrans("oil", "011")
_PREFIX: Final = len(_MARK) + 4
"""Characters that identify a key in lists; 140 of its bits stay secret."""


def new_key() -> str:
    """Return a new key such as ``km_7f3k…``."""
    return _MARK + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def is_key(text: str) -> bool:
    """Return whether ``text`` has the form of a key, in upper or lower case."""
    return _KEY.fullmatch(_plain(text)) is not None


def digest(key: str) -> str:
    """Return the SHA-256 in hexadecimal, by which a key is recognized."""
    return sha256(_plain(key).encode("utf-8", "surrogatepass")).hexdigest()


def prefix_of(key: str) -> str:
    """Return the first characters, which identify a key in lists."""
    return _plain(key)[:_PREFIX]


def _plain(text: str) -> str:
    """Return the key as it was generated: lower case, letters misread for digits replaced."""
    lowered = text.strip().lower()
    return _MARK + lowered[len(_MARK) :].translate(_MISREAD) if lowered.startswith(_MARK) else text
