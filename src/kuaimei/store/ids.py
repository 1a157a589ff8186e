"""Textual ids that sort by the time they were made."""

import re
import secrets
import threading
import time
from datetime import UTC, datetime

from kuaimei.errors import Unstorable

__all__ = ["made_at", "new_id", "validate_id"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: without letters that look like digits."""
_LENGTH = 26
_RANDOM_BITS = 80
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")

_lock = threading.Lock()
_latest = 0


def new_id(prefix: str) -> str:
    """Return a new id such as ``utt_01j9…``: 48 bits of milliseconds (UTC), then 80 random bits, as in ULID.

    Ids of one process sort in the order they were made, within a millisecond too.
    """
    global _latest
    value = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    with _lock:
        _latest = value = value if value > _latest else _latest + 1
    digits = [_ALPHABET[(value >> 5 * place) & 31] for place in reversed(range(_LENGTH))]
    return f"{prefix}_{''.join(digits)}"


def made_at(text: str) -> datetime | None:
    """Return the UTC time at which `new_id` made the id; None if it did not."""
    digits = text.rpartition("_")[2]
    if len(digits) != _LENGTH or not set(digits) <= set(_ALPHABET):
        return None
    value = 0
    for digit in digits:
        value = value << 5 | _ALPHABET.index(digit)
    try:
        return datetime.fromtimestamp((value >> _RANDOM_BITS) / 1000.0, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def validate_id(text: str) -> str:
    """Return ``text`` if it may be an id: ids from clients become names of files and blobs.

    Raises:
        Unstorable: If it holds anything but letters, digits, ``_`` and ``-``, or is too long.
    """
    if not _SAFE.fullmatch(text):
        raise Unstorable(
            f"{text[:40]!r} is not a valid id: use at most 100 letters, digits, '_' and '-', "
            "and begin with a letter or digit"
        )
    return text
