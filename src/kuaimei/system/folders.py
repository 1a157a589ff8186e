"""Temporary folders: private ones for sockets, and ones that are removed even if a process was killed."""

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
"""Folders of `private_folder` and `swept_folder` whose blocks have not ended."""


def is_private(folder: Path, uid: int) -> bool:
    """Return whether ``folder`` is a folder (not a link) of account ``uid``, closed to all others."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o077


def make_private_folder() -> Path:
    """Create a folder with a short path that only this account may enter.

    It is created in the account's runtime folder (``XDG_RUNTIME_DIR``) if that is private, else under an
    unguessable name in the folder for temporary files. It is meant for sockets, whose paths have to be
    short, not for user content.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    ours = os.path.isabs(runtime) and is_private(Path(runtime), os.geteuid())
    return Path(tempfile.mkdtemp(prefix="kuaimei-", dir=runtime if ours else None))


def temporary_folder() -> Path:
    """Return the folder for temporary files, to search it for what killed processes have left."""
    return Path(tempfile.gettempdir())


@contextmanager
def private_folder() -> Iterator[Path]:
    """Provide a private folder that is removed after the block. See `make_private_folder`."""
    with _owned(make_private_folder()) as folder:
        yield folder


def remove_own_folders() -> None:
    """Remove all folders whose blocks have not ended, before an exit that skips the end of the blocks."""
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
    """Provide a folder for files of this process that is removed after the block.

    Folders left by killed processes are removed when the next one is created.

    Args:
        root: Parent of this folder and those of other processes; created if necessary.
        name: Prefix of the folder's name.

    Raises:
        OSError: If it cannot be created.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(root)
    # Locked under a name that `_sweep` skips, so that other processes never find it unlocked.
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}_", dir=root))
    lock = os.open(unfinished / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with _owned(unfinished.rename(root / unfinished.name[1:])) as folder:
            yield folder
    finally:
        os.close(lock)


def _sweep(root: Path) -> None:
    """Remove the folders of ended processes: those whose lock is not held."""
    for folder in root.iterdir():
        if folder.name.startswith("."):
            continue
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # just removed by another process, or not a folder of this kind
        try:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
