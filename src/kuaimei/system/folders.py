"""Folders beside the data folder: private ones for sockets, and those that a killed process leaves behind."""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

__all__ = [
    "is_private",
    "make_private_folder",
    "private_folder",
    "remove_own_folders",
    "swept_folder",
    "temporary_folder",
]

_LOCK: Final = "lock"
_own: set[Path] = set()
"""Of `private_folder` and `swept_folder`, while their blocks last."""


def is_private(folder: Path, uid: int) -> bool:
    """Whether ``folder`` is a folder (no link to one) of that account, which nobody else may enter."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o077


def make_private_folder() -> Path:
    """A new folder with a short path, which only this account may enter.

    It lies in the account's run-time folder (``XDG_RUNTIME_DIR``) if that is private, else, under a name that
    nobody can guess, in the folder for temporary files. It is meant for sockets, whose paths have to be
    short, not for anything that is said.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    ours = os.path.isabs(runtime) and is_private(Path(runtime), os.geteuid())
    return Path(tempfile.mkdtemp(prefix="kuaimei-", dir=runtime if ours else None))


def temporary_folder() -> Path:
    """The folder for temporary files, for looking what killed processes left there."""
    return Path(tempfile.gettempdir())


@contextmanager
def private_folder() -> Iterator[Path]:
    """`make_private_folder`, gone after the block."""
    with _owned(make_private_folder()) as folder:
        yield folder


def remove_own_folders() -> None:
    """Remove those whose blocks have not ended: the process is about to end without ending them."""
    for folder in tuple(_own):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _owned(folder: Path) -> Iterator[Path]:
    _own.add(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _own.discard(folder)


@contextmanager
def swept_folder(root: Path, name: str) -> Iterator[Path]:
    """A folder for files of this process, gone after the block.

    What a killed process leaves behind is gone when the next folder is made.

    Args:
        root: Holds it, and those of other processes; made if need be.
        name: What the folder's own name begins with.

    Raises:
        OSError: If it cannot be made.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(root)
    # Locked under a name at which nobody looks, so that it is never found unlocked.
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}_", dir=root))
    lock = os.open(unfinished / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with _owned(unfinished.rename(root / unfinished.name[1:])) as folder:
            yield folder
    finally:
        os.close(lock)


def _sweep(root: Path) -> None:
    """Remove the folders of processes that are gone: nobody holds their locks."""
    for folder in root.iterdir():
        if folder.name.startswith("."):
            continue
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # removed by another process just now, or none of these folders
        try:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
