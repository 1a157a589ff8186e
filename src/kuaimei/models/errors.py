"""Errors of downloading weights, one class for each remedy."""

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kuaimei.errors import WeightsError

__all__ = [
    "Busy",
    "DiskFull",
    "Missing",
    "PullStopped",
    "Unreachable",
    "WrongHash",
    "ensure_room",
    "full_disk",
    "mb",
]

_RESERVE = 64 * 1024 * 1024
"""Bytes of the disk left free for other programs."""


class Unreachable(WeightsError):
    """A source does not answer: try another one, or try later."""


class Missing(WeightsError):
    """A source answers, but does not have what the catalogue says."""


class WrongHash(WeightsError):
    """The received data differs from the catalogue and is discarded."""


class DiskFull(WeightsError):
    """The disk is full; another source does not help."""


class Busy(WeightsError):
    """Another process is downloading into the same folder."""


class PullStopped(WeightsError):
    """A transfer was stopped because the whole pull is being aborted."""


def mb(size: float) -> str:
    """Format a number of bytes for messages."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def ensure_room(folder: Path, size: int) -> None:
    """Check that ``size`` bytes fit on the disk of ``folder``.

    Raises:
        DiskFull: If they do not.
    """
    free = shutil.disk_usage(folder).free
    if free < size + _RESERVE:
        raise DiskFull(
            f"not enough space on the disk of {folder}: {mb(size)} needed, {mb(max(0, free - _RESERVE))} "
            "available; free some space or set KUAIMEI_HOME to a folder on a larger disk"
        )


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Convert the operating system's error about a full disk to `DiskFull`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            f"the disk of {folder} became full while weights were being written; free some space or set "
            "KUAIMEI_HOME to a folder on a larger disk, then run `kuaimei models pull` again: it resumes "
            "where it stopped"
        ) from error


def combine(failures: dict[str, WeightsError]) -> WeightsError:
    """Return one error for all; models that failed for the same reason are listed together."""
    full = next((error for error in failures.values() if isinstance(error, DiskFull)), None)
    if full:
        return full
    names: dict[str, list[str]] = {}
    for name, error in failures.items():
        names.setdefault(str(error), []).append(name)
    text = "; ".join(f"{', '.join(those)} could not be downloaded: {why}" for why, those in names.items())
    return worst(list(failures.values()))(text)


def worst(problems: Sequence[WeightsError]) -> type[WeightsError]:
    """Return the error class for several failures: the one that most needs attention."""
    for kind in (WrongHash, Missing, Unreachable):
        if any(isinstance(problem, kind) for problem in problems):
            return kind
    return WeightsError
