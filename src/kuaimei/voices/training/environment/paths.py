"""Where the environment for learning lies: in the data folder, and nowhere else.

``HOME/learning-environment/FINGERPRINT/`` is whole: it gets that name last. What is being made is called
``making/``; the packages for it lie in ``packages/`` until it is done, so that nothing is downloaded twice.
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
        root: Of everything about it.
        whole: The finished environment; not there: it is not finished.
    """

    root: Path
    whole: Path

    @property
    def making(self) -> Path:
        """The half-made one, which nobody uses."""
        return self.root / "making"

    @property
    def packages(self) -> Path:
        """What has been downloaded for it."""
        return self.root / "packages"

    @property
    def log(self) -> Path:
        """What its making complained of, the last time."""
        return self.root / "log.txt"

    @property
    def python(self) -> Path:
        """Interpreter of the finished one."""
        return self.whole / "bin" / "python"

    @contextmanager
    def claimed(self) -> Iterator[bool]:
        """Keep other processes from making it; False: one of them is at it.

        The kernel lets go of the lock with the process, however it ends.
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
        """Whether a process is making it now."""
        if not (self.root / "lock").is_file():
            return False
        with suppress(OSError), self.claimed() as free:
            return not free
        return False


def places(home: Path, build: Build, recipe: Recipe = RECIPE) -> Places:
    """Of the environment that belongs to this version, this interpreter and that build of torch.

    Args:
        home: The data folder.
    """
    # A link (``bin/python``) is not enough: the interpreter it leads to may be gone with an update.
    root = home / "learning-environment"
    return Places(root, root / fingerprint(recipe, build))


def interpreter(settings: Settings, recipe: Recipe = RECIPE) -> Path | None:
    """Interpreter of the environment for learning; None: there is none (yet)."""
    path = interpreter_path(settings, recipe)
    return path if path.is_file() else None


def interpreter_path(settings: Settings, recipe: Recipe = RECIPE) -> Path:
    """Where that interpreter is, or will be.

    Nothing is looked for in the working directory: what lies there may be anybody's.
    """
    voices = settings.voices
    if voices.python:
        return Path(voices.python).expanduser()
    # One that was made before is as good as ever if no more are to be made.
    wish: Wish = "auto" if voices.environment == "off" else voices.environment
    return places(settings.home, build_for(wish), recipe).python
