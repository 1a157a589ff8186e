"""Who may read the data folder: its owner, and nobody else."""

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["close_to_others", "close_umask", "make_home", "open_to_others"]

_FOR_OTHERS: Final = 0o077
_SHARED: Final = frozenset({"models", "learning-environment"})
"""Weights and programs are no secrets: accounts may share them, and whoever put them there decides."""
_OWN: Final = frozenset(
    {
        "analysis",
        "cache",
        "https",
        "key",
        "kuaimei.toml",
        "learning",
        "lexicon.toml",
        "postgres",
        "postgres.lock",
        "recordings",
        "run",
        "runtime.json",
        "spool",
    }
)
"""What the program itself puts into a data folder that holds other things, too."""


def close_umask() -> None:
    """Make every file and folder that this process creates from now on its owner's alone."""
    os.umask(_FOR_OTHERS)


def make_home(home: Path) -> None:
    """Make the data folder, closed to others, unless it is there.

    Raises:
        OSError: If it cannot be made.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)


def close_to_others(home: Path) -> int:
    """Take from group and others what they may do with the data folder and what is in it.

    What belongs to another account is left alone, and so are `_SHARED` and what links lead to. A folder that
    is somebody's home, or a place for everybody's files, is not the program's own: there, only what the
    program put into it is closed.

    Returns:
        Of how many files and folders the mode was changed.
    """
    changed = 0
    for path, mode in _open_to_others(home):
        with suppress(FileNotFoundError, PermissionError):
            path.chmod(mode & ~_FOR_OTHERS)
            changed += 1
    return changed


def open_to_others(home: Path) -> Iterator[Path]:
    """What `close_to_others` would close."""
    return (path for path, _ in _open_to_others(home))


def _open_to_others(home: Path) -> Iterator[tuple[Path, int]]:
    """With the present permissions, outer folders before what is in them."""
    account = os.geteuid()
    try:
        found = home.stat()
    except OSError:
        return
    own = found.st_uid == account and not _is_of_all(home, found)
    if own and found.st_mode & _FOR_OTHERS:
        yield home, stat.S_IMODE(found.st_mode)
    waiting = [home]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue  # gone meanwhile, or another account's
        for entry in entries:
            if folder == home and (entry.name in _SHARED or not (own or entry.name in _OWN)):
                continue
            with suppress(FileNotFoundError):
                if entry.is_symlink():
                    continue
                found = entry.stat(follow_symlinks=False)
                if found.st_uid != account:
                    continue
                if found.st_mode & _FOR_OTHERS:
                    yield Path(entry.path), stat.S_IMODE(found.st_mode)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))


def _is_of_all(home: Path, found: os.stat_result) -> bool:
    """Whether it serves other purposes: an account's home, the root of the file system, a sticky folder."""
    if home.resolve() == Path("/") or found.st_mode & stat.S_ISVTX:
        return True
    for entry in pwd.getpwall():
        with suppress(OSError):
            if os.path.samestat(found, os.stat(entry.pw_dir)):
                return True
    return False
