"""Paths of the training environment, all below the data folder.

``HOME/learning-environment/FINGERPRINT/`` is complete: it gets that name last. One being installed is called
``making/``; its packages stay in ``packages/`` until it is complete, so that nothing is downloaded twice.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kuaimei.settings import Settings
from kuaimei.voices.training.environment.requirements import (
    RECIPE,
    Build,
    Recipe,
    Wish,
    build_for,
    fingerprint,
)

__all__ = ["Places", "interpreter", "interpreter_path", "places"]


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of one environment.

    Attributes:
        root: Folder that holds all of it.
        whole: The finished environment; does not exist before that.
    """

    root: Path
    whole: Path

    @property
    def making(self) -> Path:
        """Folder of an unfinished environment, which is never used."""
        return self.root / "making"

    @property
    def packages(self) -> Path:
        """Folder of the downloaded packages."""
        return self.root / "packages"

    @property
    def log(self) -> Path:
        """Log of the last installation."""
        return self.root / "log.txt"

    @property
    def python(self) -> Path:
        """Interpreter of the finished environment."""
        return self.whole / "bin" / "python"

    @contextmanager
    def claimed(self) -> Iterator[bool]:
        """Lock out other installing processes; yields False if one of them holds the lock.

        The kernel releases the lock when the process ends, however it ends.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.root / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def being_made(self) -> bool:
        """Return True if a process is installing the environment now."""
        if not (self.root / "lock").is_file():
            return False
        with suppress(OSError), self.claimed() as free:
            return not free
        return False


def places(home: Path, build: Build, recipe: Recipe = RECIPE) -> Places:
    """Return the paths of the environment for this version, this interpreter and that build of torch.

    Args:
        home: The data folder.
        build: Build of torch.
        recipe: Packages of the environment.
    """
    # A link (``bin/python``) is not enough: the interpreter it leads to may be gone with an update.
    root = home / "learning-environment"
    return Places(root, root / fingerprint(recipe, build))


def interpreter(settings: Settings, recipe: Recipe = RECIPE) -> Path | None:
    """Return the interpreter of the training environment; None if it is not installed (yet)."""
    path = interpreter_path(settings, recipe)
    return path if path.is_file() else None


def interpreter_path(settings: Settings, recipe: Recipe = RECIPE) -> Path:
    """Return where that interpreter is, or will be.

    The working directory is never searched: its files may be untrusted.
    """
    voices = settings.voices
    if voices.python:
        return Path(voices.python).expanduser()
    # An environment installed earlier remains usable when installing is switched off.
    wish: Wish = "auto" if voices.environment == "off" else voices.environment
    return places(settings.home, build_for(wish), recipe).python
