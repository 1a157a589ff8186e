"""Installation of the training environment; may be interrupted anywhere and resumes from its downloads."""

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from kuaimei.errors import WeightsError
from kuaimei.models.download import fsync_folder
from kuaimei.models.download_sources import open_client
from kuaimei.models.errors import DiskFull, ensure_room, mb
from kuaimei.models.pypi import pip_settings
from kuaimei.voices.training.environment.download import Fetcher, Wanted
from kuaimei.voices.training.environment.errors import BeingMade, NotMade
from kuaimei.voices.training.environment.paths import Places, places
from kuaimei.voices.training.environment.requirements import RECIPE, Build, Recipe

__all__ = ["Reporter", "bring_packages", "make_environment"]

_SPAWN_CHILD: Final = Path(__file__).parents[1] / "_spawn_child.py"
_SOURCES: Final = Path(__file__).parents[4]
"""Folder that holds the package: the trial import needs it."""
_NAME: Final = re.compile(r"[0-9a-f]{12}")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_SAID: Final = ("No space left on device", "Disk quota exceeded", "File too large")
_UNPACKED: Final = 4.0
"""Upper bound of installed size / download size (measured: 3.9 without CUDA)."""
_COMPILED: Final = 1.25
"""Upper bound of installed size / unpacked size, including bytecode."""
_FETCHED: Final = 0.4
"""Fraction of the progress when all is downloaded; the rest is unpacking and the trial import."""
_INSTALLED: Final = 0.97
_LOOK_S: Final = 1.0
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
"""Environment variables passed to installer and trial: they access no index and need no secret."""


class Reporter(Protocol):
    """Receives the progress of an installation."""

    def planned(self, size: int) -> None:
        """Report the bytes that will be downloaded, before the download starts."""
        ...

    def progress(self, fraction: float, doing: str) -> None:
        """Report the fraction done and the current activity."""
        ...


def make_environment(home: Path, build: Build, reporter: Reporter, recipe: Recipe = RECIPE) -> Path:
    """Install the environment unless it is there; return its interpreter.

    It gets its final name last, so an unfinished one is never used. Downloads are kept for the next try.

    Args:
        home: The data folder.
        build: Build of torch.
        reporter: Receives the progress.
        recipe: Packages to install.

    Raises:
        BeingMade: If another process is installing it.
        NotMade: If the installation failed, saying why and what to do.
    """
    place = places(home, build, recipe)
    with _explained(place.root), place.claimed() as free:
        if not free:
            raise BeingMade(
                "another process is installing the training environment: wait until it has finished"
            )
        if not place.python.is_file():
            _make(place, build, reporter, recipe)
        _tidy(place)
    return place.python


def bring_packages(folder: Path, build: Build, reporter: Reporter, recipe: Recipe = RECIPE) -> None:
    """Download the packages into ``folder``, for a machine of the same kind without network.

    Args:
        folder: Target folder.
        build: Build of torch.
        reporter: Receives the progress.
        recipe: Packages to download.

    Raises:
        NotMade: If a package is not available, saying why and what to do.
    """
    with _explained(folder):
        _fetch(folder, build, reporter, recipe, 1.0)


def _make(place: Places, build: Build, reporter: Reporter, recipe: Recipe) -> None:
    shutil.rmtree(place.making, ignore_errors=True)
    # What is there has no working interpreter: its link is broken.
    shutil.rmtree(place.whole, ignore_errors=True)
    wanted = _fetch(place.packages, build, reporter, recipe, _FETCHED)
    unpacked = sum(_unpacked(path) for path in place.packages.glob("*.whl"))
    ensure_room(place.root, int(unpacked * _COMPILED))
    with place.log.open("wb") as log:
        reporter.progress(_FETCHED, "creating a virtual environment")
        venv = [sys.executable, "-m", "venv", str(place.making)]
        if _run(venv, log.fileno()):
            raise NotMade(
                _blamed(
                    place.log,
                    "cannot create a virtual environment: on Debian and Ubuntu, 'apt install python3-venv'",
                )
            )
        _install(place, wanted, unpacked, reporter, log.fileno())
        reporter.progress(_INSTALLED, "testing the installation")
        if _run([_inner(place), "-W", "ignore", "-c", recipe.trial], log.fileno()):
            raise NotMade(_blamed(place.log, f"the installed packages do not work; see the log {place.log}"))
    # The final name must not reach the disk before the files below it.
    os.sync()
    place.making.rename(place.whole)
    fsync_folder(place.root)
    reporter.progress(1.0, "done")


def _fetch(folder: Path, build: Build, reporter: Reporter, recipe: Recipe, share: float) -> Wanted:
    """Download what is missing; this accounts for ``share`` of the progress."""
    reporter.progress(0.0, "looking for the packages")
    pip = pip_settings()
    with open_client(pip) as client:
        fetcher = Fetcher(client, pip, folder, recipe, build)
        wanted = fetcher.plan()
        ensure_room(folder, int(wanted.size * (1 + _UNPACKED)))
        reporter.planned(wanted.size)
        come = 0

        def advance(size: int) -> None:
            nonlocal come
            come += size
            doing = f"downloading packages, {mb(come)} of {mb(wanted.size)}"
            reporter.progress(share * come / max(1, wanted.size), doing)

        fetcher.fetch(wanted, advance)
        return wanted


def _install(place: Places, wanted: Wanted, unpacked: int, reporter: Reporter, log: int) -> None:
    """Unpack the packages; pip verifies every hash once more and accesses no index."""
    pip = [_inner(place), "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-input"]
    install = [
        "install",
        "--no-cache-dir",
        "--no-index",
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
    ]
    lists = [part for file in wanted.lists for part in ("-r", str(file))]
    before = _size(place.making)

    def look() -> None:
        part = (_size(place.making) - before) / max(1.0, unpacked * _COMPILED)
        done = _FETCHED + (_INSTALLED - _FETCHED) * min(1.0, part)
        reporter.progress(done, "unpacking the packages")

    if _run([*pip, *install, "--find-links", str(place.packages), *lists], log, look):
        raise NotMade(_blamed(place.log, f"the packages cannot be installed; see the log {place.log}"))


def _inner(place: Places) -> str:
    return str(place.making / "bin" / "python")


def _run(command: Sequence[str], log: int, look: Callable[[], None] = lambda: None) -> int:
    """Run a command, which is killed with this process; return its exit status."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    process = subprocess.Popen(  # noqa: S603 - the commands are this module's own
        [sys.executable, "-I", str(_SPAWN_CHILD), str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env={**kept, "PYTHONPATH": str(_SOURCES), "PIP_CONFIG_FILE": os.devnull},
    )
    while True:
        try:
            return process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            look()
        except BaseException:
            process.kill()
            process.wait()
            raise


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Convert errors to `NotMade` with one sentence that says what to do."""
    try:
        yield
    except NotMade:
        raise
    except DiskFull as error:
        raise NotMade(f"{error}".partition(", then run")[0]) from error
    except WeightsError as error:
        raise NotMade(
            f"{error}; without a network, provide the packages in a folder (PIP_NO_INDEX, PIP_FIND_LINKS)"
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise NotMade(_full(folder)) from error
        raise NotMade(
            f"{folder} is not writable ({error.strerror or type(error).__name__}): it must belong to the "
            "account that runs the server"
        ) from error


def _blamed(log: Path, otherwise: str) -> str:
    """Return why a command failed: a full disk if its log says so, else ``otherwise``."""
    said = log.read_text(encoding="utf-8", errors="replace")
    return _full(log.parent) if any(sign in said for sign in _FULL_SAID) else otherwise


def _full(folder: Path) -> str:
    return f"the disk of {folder} is full: free some space, or set KUAIMEI_HOME to a folder on a larger disk"


def _unpacked(wheel: Path) -> int:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        return wheel.stat().st_size


def _size(folder: Path) -> int:
    """Return the bytes of all files below ``folder``; files that vanish meanwhile are skipped."""
    total = 0
    for path, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(path, file)).st_size
    return total


def _tidy(place: Places) -> None:
    """Delete older environments and the downloads and temporary files of the finished one."""
    for path in place.root.iterdir():
        if path in (place.packages, place.making) or (path != place.whole and _NAME.fullmatch(path.name)):
            shutil.rmtree(path, ignore_errors=True)
    place.log.unlink(missing_ok=True)
