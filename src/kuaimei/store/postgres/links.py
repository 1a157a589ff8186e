"""The links by which a data folder and the place of its database find each other; see `placing`."""

import os
import secrets
from pathlib import Path
from typing import Final

__all__ = ["PREFIX", "RECORD", "link_place", "new_place", "record_of", "replace_link", "sync_folder"]

PREFIX: Final = "postgres-"
"""Of the name of every place."""
RECORD: Final = ".home"
"""After the name of a place: the link that names its data folder."""


def record_of(place: Path) -> Path:
    """The link beside ``place`` that names its data folder."""
    return place.with_name(place.name + RECORD)


def new_place(folder: Path, base: Path) -> Path:
    """A place that is not there yet; to whom it will belong is written down."""
    place = base / f"{PREFIX}{secrets.token_hex(8)}"
    record_of(place).symlink_to(folder.parent)
    return place


def link_place(place: Path, folder: Path) -> None:
    """Make ``folder``, in the data folder, a link to ``place``, on the disk when this returns."""
    replace_link(folder, place)
    sync_folder(folder.parent)


def replace_link(link: Path, target: Path) -> None:
    """Make ``link`` a link to ``target``, whatever link it was; whole or not at all."""
    new = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    new.symlink_to(target)
    new.replace(link)


def sync_folder(folder: Path) -> None:
    """Have what was made, renamed and deleted in ``folder`` on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
