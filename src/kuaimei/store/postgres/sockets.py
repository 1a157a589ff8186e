"""Location of a cluster's socket: in its folder, or elsewhere if that path is too long for a socket."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from kuaimei.system.folders import is_private, make_private_folder
from kuaimei.system.processes import Account

__all__ = ["SOCKET", "forget_socket_folder", "make_socket_folder", "socket_folder"]

SOCKET: Final = ".s.PGSQL.5432"
_PATH_MAX: Final = 100  # bytes; the kernel's own limit is 107
_NOTE: Final = "socket"
"""File in the cluster's folder that names the socket's folder, for all users of the cluster."""


def socket_folder(folder: Path) -> Path:
    """Return the folder of the socket of the cluster in ``folder``; may be wrong before its first start."""
    if _fits(folder):
        return folder
    with suppress(OSError):
        return Path((folder / _NOTE).read_text(encoding="utf-8"))
    return folder


def make_socket_folder(folder: Path, account: Account | None) -> Path:
    """Return `socket_folder`; created unless it is private to ``account`` (None: the current one)."""
    if _fits(folder):
        return folder
    found, note = socket_folder(folder), folder / _NOTE
    uid = os.geteuid() if account is None else account.uid
    if note.is_file() and is_private(found, uid):
        return found
    found = make_private_folder()
    if account is not None:
        os.chown(found, account.uid, account.gid)
    unfinished = note.with_suffix(".new")
    unfinished.write_text(str(found), encoding="utf-8")
    unfinished.replace(note)
    return found


def forget_socket_folder(folder: Path) -> None:
    """Remove the socket's folder of a stopped server, if it is not the cluster's folder."""
    if not _fits(folder):
        found = socket_folder(folder)
        (folder / _NOTE).unlink(missing_ok=True)
        with suppress(OSError):
            found.rmdir()


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / SOCKET)) <= _PATH_MAX
