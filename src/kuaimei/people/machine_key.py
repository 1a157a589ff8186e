"""The machine key: a file that only the account that runs the server may read.

On a machine with several accounts every account can reach a server on loopback. Only who can read this file,
or was given the URL with the key in it, can use the server.
"""

import fcntl
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from kuaimei.errors import SettingsError
from kuaimei.people.keys import is_key, new_key

__all__ = ["FILE", "ensure_machine_key", "read_machine_key", "replace_machine_key"]

_log = logging.getLogger(__name__)

FILE: Final = "key"
"""File name in the data folder."""
_MODE: Final = 0o600
_OTHERS: Final = 0o077
_SIZE_LIMIT: Final = 1024
"""Bytes to read: a key has 35."""


def read_machine_key(home: Path) -> str:
    """Return the key in the data folder; empty if there is none.

    Raises:
        SettingsError: If the file cannot be read.
    """
    path = home / FILE
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _close_to_others(path, descriptor)
            text = os.read(descriptor, _SIZE_LIMIT).decode("ascii", "replace").strip()
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingsError(f"the machine key {path} cannot be read ({error.strerror})") from None
    return text if is_key(text) else ""


def ensure_machine_key(home: Path) -> str:
    """Return the key in the data folder; create it if there is none.

    Raises:
        SettingsError: If it can be neither read nor created.
    """
    if key := read_machine_key(home):
        return key
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Two processes that start at once agree on one key: the second finds the first one's.
        with _alone(home):
            if key := read_machine_key(home):
                return key
            return _put(home, new_key())
    except OSError as error:
        raise SettingsError(f"the machine key cannot be stored in {home / FILE} ({error.strerror})") from None


def replace_machine_key(home: Path) -> str:
    """Replace the key; the old one is no longer accepted.

    Raises:
        SettingsError: If it cannot be written.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(home):
            return _put(home, new_key())
    except OSError as error:
        raise SettingsError(f"the machine key cannot be stored in {home / FILE} ({error.strerror})") from None


def _put(home: Path, key: str) -> str:
    """Write the key atomically and durably, and return it."""
    path = home / f".{FILE}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, _MODE), "wb") as file:
            file.write(f"{key}\n".encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(path, home / FILE)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    with _opened(home) as folder:
        os.fsync(folder)
    return key


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep other processes from creating a key, for the length of the block, if the file system has locks."""
    with _opened(home) as folder:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _close_to_others(path: Path, descriptor: int) -> None:
    """Remove access for other accounts, and log a warning that they had it."""
    if not os.fstat(descriptor).st_mode & _OTHERS:
        return
    _log.warning("%s was accessible to other accounts: create a new key with `kuaimei key --new`", path)
    with suppress(OSError):
        os.fchmod(descriptor, _MODE)
