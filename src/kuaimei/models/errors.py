"""How fetching weights can fail, told apart because each is mended in another way."""

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
"""Left free for everybody else on the disk."""


class Unreachable(WeightsError):
    """A source does not answer: try another, or later."""


class Missing(WeightsError):
    """A source answers, but does not have what the catalogue says."""


class WrongHash(WeightsError):
    """What came is not what the catalogue says: it is thrown away."""


class DiskFull(WeightsError):
    """There is no room; no other source can help."""


class Busy(WeightsError):
    """Somebody else is fetching into the same folder."""


class PullStopped(WeightsError):
    """Given up because the whole pull is being given up."""


def mb(size: float) -> str:
    """A number of bytes for a reader."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def ensure_room(folder: Path, size: int) -> None:
    """Check that ``size`` bytes fit on the disk of ``folder``.

    Raises:
        DiskFull: If they do not.
    """
    free = shutil.disk_usage(folder).free
    if free < size + _RESERVE:
        raise DiskFull(
            f"the disk of {folder} is too full: {mb(size)} are needed and {mb(max(0, free - _RESERVE))} are "
            "free; make room or set KUAIMEI_HOME to a folder on a larger disk"
        )


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Turn the system's error about a full disk into `DiskFull`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            f"the disk of {folder} became full while weights were written; make room or set KUAIMEI_HOME "
            "to a folder on a larger disk, then run `kuaimei models pull` again: it goes on where it stopped"
        ) from error


def combine(failures: dict[str, WeightsError]) -> WeightsError:
    """One error for all, in which models that failed for the same reason stand together."""
    full = next((error for error in failures.values() if isinstance(error, DiskFull)), None)
    if full:
        return full
    names: dict[str, list[str]] = {}
    for name, error in failures.items():
        names.setdefault(str(error), []).append(name)
    text = "; ".join(f"{', '.join(those)} could not be fetched: {why}" for why, those in names.items())
    return worst(list(failures.values()))(text)


def worst(problems: Sequence[WeightsError]) -> type[WeightsError]:
    """What to call several failures: the one that most needs a look."""
    for kind in (WrongHash, Missing, Unreachable):
        if any(isinstance(problem, kind) for problem in problems):
            return kind
    return WeightsError
