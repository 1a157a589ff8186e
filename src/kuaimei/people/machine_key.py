"""The machine's own key: a file that only the account may read which runs the server.

On a machine with several accounts everybody can reach a server on loopback; whoever has the key, that is
whoever can read this file or was given the address with the key in it, can use it.
"""

import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from kuaimei.errors import SettingsError
from kuaimei.people.keys import is_key, new_key

__all__ = ["FILE", "ensure_machine_key", "read_machine_key", "replace_machine_key"]

_log = logging.getLogger(__name__)

FILE: Final = "key"
"""Its name in the data folder."""
_MODE: Final = 0o600
_OTHERS: Final = 0o077
_SIZE_LIMIT: Final = 1024
"""Bytes that are read: a key has 35."""


def read_machine_key(home: Path) -> str:
    """The key in the data folder; empty if there is none.

    Raises:
        SettingsError: If the file cannot be read.
    """
    path = home / FILE
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingsError(f"the machine's key {path} cannot be read ({error.strerror})") from None
    with os.fdopen(descriptor, "rb") as file:
        _close_to_others(path, file.fileno())
        text = file.read(_SIZE_LIMIT).decode("ascii", "replace").strip()
    return text if is_key(text) else ""


def ensure_machine_key(home: Path) -> str:
    """The key in the data folder, made if there is none.

    Raises:
        SettingsError: If it can be neither read nor made.
    """
    if key := read_machine_key(home):
        return key
    path = home / FILE
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_file():  # cut off while it was written, by an older program or a full disk
            path.unlink()
        made = _written(home, new_key())
        try:
            # Two that start at once agree on one key: the second finds the first one's.
            os.link(made, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            os.rename(made, path)
        finally:
            with suppress(FileNotFoundError):
                made.unlink()
        _sync(home)
    except OSError as error:
        raise SettingsError(f"the machine's key cannot be kept in {path} ({error.strerror})") from None
    return read_machine_key(home)


def replace_machine_key(home: Path) -> str:
    """A new key in the place of the one that was there, which lets nobody in any more.

    Raises:
        SettingsError: If it cannot be kept.
    """
    key = new_key()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _written(home, key).replace(home / FILE)
        _sync(home)
    except OSError as error:
        raise SettingsError(f"the machine's key cannot be kept in {home / FILE} ({error.strerror})") from None
    return key


def _written(home: Path, key: str) -> Path:
    """A new file that holds ``key``, on the disk."""
    path = home / f".{FILE}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, _MODE), "wb") as file:
        file.write(f"{key}\n".encode("ascii"))
        file.flush()
        os.fsync(file.fileno())
    return path


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _close_to_others(path: Path, descriptor: int) -> None:
    """Take from others what they may do with the file; say that they could have read it."""
    if not os.fstat(descriptor).st_mode & _OTHERS:
        return
    _log.warning("%s could be read by other accounts: make another with `kuaimei key --new`", path)
    with suppress(OSError):
        os.fchmod(descriptor, _MODE)
