"""Files with a private key: written atomically and durably, readable by their owner only."""

import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["create_private", "make_private_folder", "read_private", "replace_private"]

_log = logging.getLogger(__name__)

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077


def make_private_folder(folder: Path) -> None:
    """Create ``folder``, closed to other accounts.

    Raises:
        OSError: If it cannot be created.
    """
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    _tighten(folder, _FOLDER_MODE)


def create_private(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` unless it exists; another process may create it at the same time.

    Raises:
        OSError: If it cannot be written.
    """
    make_private_folder(path.parent)
    written = _write(path, data)
    try:
        with suppress(FileExistsError):
            os.link(written, path)
    finally:
        written.unlink()
    _sync(path.parent)


def replace_private(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, replacing what was there.

    Raises:
        OSError: If it cannot be written.
    """
    make_private_folder(path.parent)
    _write(path, data).replace(path)
    _sync(path.parent)


def read_private(path: Path) -> bytes:
    """Return the contents of ``path``, and close it to other accounts if needed.

    Raises:
        OSError: If it cannot be read.
    """
    make_private_folder(path.parent)
    _tighten(path, _FILE_MODE)
    return path.read_bytes()


def _write(path: Path, data: bytes) -> Path:
    written = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return written


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _tighten(path: Path, mode: int) -> None:
    if path.stat().st_mode & _OTHERS:
        _log.warning("%s was accessible to other accounts on this machine; their access was removed", path)
        path.chmod(mode)
