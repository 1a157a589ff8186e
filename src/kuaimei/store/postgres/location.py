"""Location of the embedded database if root runs the program.

PostgreSQL refuses to run as root, and the account it runs as then may not enter the data folder, which is
private to its owner. So its files get a location of their own below a folder owned by root, under a random
name: a data folder that is deleted and created again never meets the old database. The two are connected by a
symbolic link, ``postgres`` in the data folder, that names the location, and one beside the location that
names the data folder.

The database of earlier versions, a folder in the data folder, is moved to such a location, once
(`kuaimei.store.postgres.relocation`). Before anything is moved, the location is written to a file in the data
folder (``postgres.moving``), so that the next start finishes or repeats an interrupted move.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kuaimei.errors import StoreError
from kuaimei.store.postgres.links import PREFIX, RECORD, link_place, new_place, record_of, replace_link
from kuaimei.store.postgres.relocation import Move
from kuaimei.system import durability
from kuaimei.system.processes import Account

__all__ = ["Abandoned", "abandoned", "base_for", "place_of", "remove_place"]

_PASSING: Final = frozenset({"overlay", "aufs", "tmpfs", "ramfs"})
"""File systems that do not survive the removal of a container or a reboot."""


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A location to which no data folder refers any more.

    Attributes:
        home: The data folder that it belonged to; None: unknown.
    """

    place: Path
    home: Path | None


def base_for(home: Path, base: Path) -> Path:
    """Return ``base``, or a folder beside ``home`` if ``base`` is inside the private folder ``home``."""
    home, base = home.absolute(), base.absolute()
    inside = base == home or home in base.parents
    return home.with_name(f"{home.name}-database") if inside else base


def place_of(folder: Path, base: Path, account: Account) -> Path:
    """Return the location of the cluster of ``folder``; it is created, or moved there, if needed.

    Args:
        folder: ``postgres`` in the data folder, which exists.
        base: A folder owned by root for the locations; created if missing.
        account: Owner of the location.

    Raises:
        StoreError: If the location is missing, used by another data folder or not on a persistent disk, or if
            a server that uses the database to be moved does not stop.
        OSError: If something cannot be created or moved.
    """
    _make_base(base, account)
    with _locked(folder.with_name(f"{folder.name}.lock")):
        for unfinished in folder.parent.glob(f".{folder.name}.*"):  # links and files left by a killed process
            unfinished.unlink()
        Move(folder, base, account).resume()
        if folder.is_symlink():
            return _checked(folder)
        _require_lasting(folder.parent, base)
        if folder.exists():
            return Move(folder, base, account).begin()
        place = new_place(folder, base)
        place.mkdir(mode=0o700)
        os.chown(place, account.uid, account.gid)
        link_place(place, folder)
        return place


def abandoned(base: Path) -> Iterator[Abandoned]:
    """Yield locations below ``base`` to which no data folder refers."""
    for place in sorted(base.glob(f"{PREFIX}*")):
        if place.name.endswith(RECORD) or not place.is_dir():
            continue
        record = record_of(place)
        home = Path(os.readlink(record)) if record.is_symlink() else None
        if home is None or not _refers(home / "postgres", place):
            yield Abandoned(place, home)


def remove_place(folder: Path) -> None:
    """Delete the location of ``folder`` with its database, which must not be running, and its links."""
    if folder.is_symlink():
        place = Path(os.readlink(folder))
        if place.name.startswith(PREFIX):
            durability.remove_tree(place)
            record_of(place).unlink(missing_ok=True)
        folder.unlink()


def _make_base(base: Path, account: Account) -> None:
    for folder in (*reversed(base.parents), base):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o755)
            folder.chmod(0o755)  # regardless of the umask: the account has to pass through
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise StoreError(
            f"{base} must be a folder to which only root can write: change its permissions, "
            "or choose another folder with KUAIMEI_STORE__DATABASE_DIR"
        )
    _require_passable(base, account)


def _require_passable(base: Path, account: Account) -> None:
    for folder in (base, *base.parents):
        if not folder.stat().st_mode & 0o001:
            raise StoreError(
                f"PostgreSQL runs as the account {account.name}, which has no access to {folder}: "
                "choose another folder with KUAIMEI_STORE__DATABASE_DIR, or run kuaimei as an ordinary user"
            )


def _require_lasting(home: Path, base: Path) -> None:
    """Reject a volatile ``base``: with a volume only for ``home`` the container's database would be lost."""
    if _kind_of_disk(base) in _PASSING and _kind_of_disk(home) not in _PASSING:
        raise StoreError(
            f"the database would be stored in {base}, which is lost when this container is removed: "
            f"mount a volume there, or at another folder given by KUAIMEI_STORE__DATABASE_DIR, "
            "or run the container as a user other than root"
        )


def _kind_of_disk(path: Path) -> str:
    """Return the type of the file system of ``path``; empty if unknown."""
    path = path.resolve()
    best, kind = "", ""
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            point, _, rest = line.partition(" - ")
            where = point.split()[4].encode().decode("unicode_escape")
            # Of several mounts at one point the last is the visible one.
            if path.is_relative_to(where) and len(where) >= len(best):
                best, kind = where, rest.split()[0]
    return kind


def _checked(folder: Path) -> Path:
    """Return the location to which the link ``folder`` refers; its link to the data folder is updated."""
    place = Path(os.readlink(folder))
    if not place.name.startswith(PREFIX):
        raise StoreError(
            f"{folder} is a link that kuaimei did not create: remove it; a new database will be created"
        )
    if not place.is_dir() or place.is_symlink():
        raise StoreError(
            f"the database of {folder.parent} was stored in {place} and is missing: restore it, "
            f"or delete the link {folder} to start with an empty one"
        )
    record = record_of(place)
    home = Path(os.readlink(record)) if record.is_symlink() else None
    if home == folder.parent:
        return place
    if home is not None and _refers(home / folder.name, place) and not os.path.samefile(home, folder.parent):
        raise StoreError(
            f"{folder.parent} is a copy of {home}, and both use the database in {place}: "
            f"delete the link {folder} to start with an empty one, or delete {home}"
        )
    replace_link(record, folder.parent)  # the data folder was moved
    return place


def _refers(link: Path, place: Path) -> bool:
    return link.is_symlink() and Path(os.readlink(link)) == place


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
