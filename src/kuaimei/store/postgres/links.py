"""Links between a data folder and the location of its database; see `kuaimei.store.postgres.location`."""

import os
import secrets
from pathlib import Path
from typing import Final

__all__ = ["PREFIX", "RECORD", "link_place", "new_place", "record_of", "replace_link", "sync_folder"]

PREFIX: Final = "postgres-"
"""Prefix of the name of every location."""
RECORD: Final = ".home"
"""Suffix of the link that names the data folder of a location."""


def record_of(place: Path) -> Path:
    """Return the link beside ``place`` that names its data folder."""
    return place.with_name(place.name + RECORD)


def new_place(folder: Path, base: Path) -> Path:
    """Return a new location, not created yet; the link to its data folder is made."""
    place = base / f"{PREFIX}{secrets.token_hex(8)}"
    record_of(place).symlink_to(folder.parent)
    return place


def link_place(place: Path, folder: Path) -> None:
    """Make ``folder``, in the data folder, a link to ``place``; it is on disk when this returns."""
    replace_link(folder, place)
    sync_folder(folder.parent)


def replace_link(link: Path, target: Path) -> None:
    """Atomically make ``link`` a link to ``target``, replacing an existing one."""
    new = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    new.symlink_to(target)
    new.replace(link)


def sync_folder(folder: Path) -> None:
    """Sync ``folder``, so that created, renamed and deleted names in it are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
