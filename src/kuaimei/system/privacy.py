"""File permissions of the data folder: access for its owner only."""

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["close_to_others", "close_umask", "make_data_folder", "open_to_others"]

_FOR_OTHERS: Final = 0o077
_SHARED: Final = frozenset({"models", "learning-environment"})
"""Weights and programs are not secret: accounts may share them, and their permissions are left alone."""
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
"""Names that the program itself creates, in a data folder that may hold other things, too."""


def close_umask() -> None:
    """Set the umask so that new files and folders of this process are accessible to their owner only."""
    os.umask(_FOR_OTHERS)


def make_data_folder(home: Path) -> None:
    """Create the data folder, closed to other accounts, unless it exists.

    Raises:
        OSError: If it cannot be created.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)


def close_to_others(home: Path) -> int:
    """Remove all permissions of group and others from the data folder and its content.

    Files of other accounts, `_SHARED` and the targets of links are left alone. If the folder belongs to
    another account or also serves other purposes (a home folder, a place for all accounts' files), only what
    the program has created (`_OWN`) is closed.

    Returns:
        The number of files and folders whose mode was changed.
    """
    changed = 0
    for path, mode in _open_to_others(home):
        with suppress(FileNotFoundError, PermissionError):
            path.chmod(mode & ~_FOR_OTHERS)
            changed += 1
    return changed


def open_to_others(home: Path) -> Iterator[Path]:
    """Return what `close_to_others` would close."""
    return (path for path, _ in _open_to_others(home))


def _open_to_others(home: Path) -> Iterator[tuple[Path, int]]:
    """Yield paths open to others with their permissions, folders before their content."""
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
            continue  # deleted meanwhile, or not readable
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
    """Return whether ``home`` also serves other purposes: a home folder, ``/``, or a sticky folder."""
    if home.resolve() == Path("/") or found.st_mode & stat.S_ISVTX:
        return True
    for entry in pwd.getpwall():
        with suppress(OSError):
            if os.path.samestat(found, os.stat(entry.pw_dir)):
                return True
    return False
