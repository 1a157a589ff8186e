"""Move of an earlier version's database out of the data folder; see `kuaimei.store.postgres.location`."""

import fcntl
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from kuaimei.errors import StoreError
from kuaimei.store.postgres.links import link_place, new_place, sync_folder
from kuaimei.store.postgres.postmaster import find_postmaster, stop_postmaster
from kuaimei.system import durability
from kuaimei.system.processes import Account

__all__ = ["Move"]

_UNFINISHED: Final = ".unfinished"
_STOP_TIMEOUT_S: Final = 60.0


class Move:
    """Move of the database in ``folder``, as in earlier versions, to a location. The caller holds the lock.

    The files that exist tell in which state a move was interrupted: while ``folder`` itself exists the move
    is repeated; afterwards the location is complete.

    Args:
        folder: ``postgres`` in the data folder.
        base: A folder owned by root for the locations.
        account: Owner of the location.
    """

    def __init__(self, folder: Path, base: Path, account: Account) -> None:
        self._folder = folder
        self._base = base
        self._account = account
        self._journal = folder.with_name(f"{folder.name}.moving")
        self._moved = folder.with_name(f"{folder.name}.moved")

    def begin(self) -> Path:
        """Move the database and return its new location."""
        self._require_unused()
        place = new_place(self._folder, self._base)
        unfinished = self._journal.with_name(f".{self._journal.name}")
        unfinished.write_text(str(place), encoding="utf-8")
        unfinished.replace(self._journal)
        sync_folder(self._folder.parent)
        self._take(place)
        return place

    def resume(self) -> None:
        """Finish an interrupted move, if there is one."""
        try:
            place = Path(self._journal.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        whole = not self._folder.is_symlink() and self._folder.exists()
        if whole:  # the original is still complete
            self._require_unused()
            durability.remove_tree(place)
            durability.remove_tree(place.with_name(place.name + _UNFINISHED))
            self._take(place)
        elif not place.is_dir():
            raise StoreError(
                f"the database of {self._folder.parent} was being moved to {place} and is in neither place: "
                f"restore it from a backup as {self._folder}, or delete {self._journal} to start with an "
                "empty one"
            )
        else:
            self._finish(place)

    def _take(self, place: Path) -> None:
        os.chown(self._folder, self._account.uid, self._account.gid)
        for path in self._folder.rglob("*"):
            os.lchown(path, self._account.uid, self._account.gid)
        self._folder.chmod(0o700)
        try:
            self._folder.rename(place)
        except OSError:  # another file system, or a mount point
            unfinished = place.with_name(place.name + _UNFINISHED)
            shutil.copytree(self._folder, unfinished, symlinks=True, ignore=_without_sockets)
            for path in (unfinished, *unfinished.rglob("*")):
                os.lchown(path, self._account.uid, self._account.gid)
            unfinished.chmod(0o700)
            os.sync()  # the copy is on disk before the original is deleted
            unfinished.rename(place)
            sync_folder(place.parent)
            self._folder.rename(self._moved)
        self._finish(place)

    def _finish(self, place: Path) -> None:
        link_place(place, self._folder)
        if self._moved.is_dir():
            durability.remove_tree(self._moved)
        self._journal.unlink()

    def _require_unused(self) -> None:
        """Check that the database is not in use; a server left running by a killed process is stopped."""
        users = os.open(self._folder / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"an earlier version of kuaimei is using the database in {self._folder}, which this one "
                "has to move: stop the other, then start again"
            ) from None
        finally:
            os.close(users)
        pid = find_postmaster(self._folder / "data")
        if pid is not None and not stop_postmaster(pid, _STOP_TIMEOUT_S):
            raise StoreError(
                f"PostgreSQL (process {pid}) is running in {self._folder}, which has to be moved, and could "
                "not be stopped: stop it, then start again"
            )


def _without_sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if stat.S_ISSOCK(os.lstat(os.path.join(folder, name)).st_mode)]
