"""Storage of calibrated heads: one file per version; the newest is in use and can be undone."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kuaimei.analysis.head import Head, read_head, shipped_head
from kuaimei.errors import NotFound, SettingsError

__all__ = ["HeadVersion", "keep_head", "kept_heads", "load_head", "new_version", "undo_head"]

_IN_USE: Final = ".json"
_UNDONE: Final = ".undone"


@dataclass(frozen=True, slots=True)
class HeadVersion:
    """A head on disk.

    Attributes:
        in_use: Scores are computed with it.
        undone: It was taken out of use; its file is kept.
    """

    path: Path
    head: Head
    in_use: bool
    undone: bool


def load_head(home: Path) -> Head:
    """Return the head in use: the newest calibrated one that was not undone, or the shipped one.

    Args:
        home: `kuaimei.settings.Settings.home`.

    Raises:
        SettingsError: If its file is damaged; the message says what to do.
    """
    newest = _newest(home)
    return shipped_head() if newest is None else _read(newest)


def keep_head(home: Path, head: Head) -> Path:
    """Write ``head`` atomically and put it into use.

    Raises:
        SettingsError: If it cannot be written.
    """
    folder = _folder(home)
    path = folder / f"{head.version}{_IN_USE}"
    half: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        half = folder / f".{head.version}.{os.getpid()}.part"
        with half.open("w", encoding="utf-8") as file:
            file.write(head.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        if half is not None:
            with suppress(OSError):
                half.unlink()
        raise SettingsError(f"the head cannot be saved in {folder}: {error}") from error
    return path


def undo_head(home: Path) -> tuple[str, Head]:
    """Undo the last calibration: take its head out of use.

    Returns:
        The version that was undone, and the head in use now.

    Raises:
        NotFound: If the shipped head is in use.
        SettingsError: If the file cannot be renamed.
    """
    newest = _newest(home)
    if newest is None:
        raise NotFound("nothing to undo: the head shipped with kuaimei is in use")
    try:
        newest.rename(newest.with_suffix(_UNDONE))
    except OSError as error:
        raise SettingsError(f"{newest} cannot be renamed: {error}") from error
    return newest.stem, load_head(home)


def kept_heads(home: Path) -> Sequence[HeadVersion]:
    """Return all heads ever calibrated here, newest first.

    Raises:
        SettingsError: If one is damaged.
    """
    folder = _folder(home)
    newest = _newest(home)
    paths = [path for path in folder.glob("*") if path.suffix in (_IN_USE, _UNDONE)]
    return [
        HeadVersion(path, _read(path), in_use=path == newest, undone=path.suffix == _UNDONE)
        for path in sorted(paths, reverse=True)
    ]


def new_version(home: Path) -> str:
    """Return the UTC time as a version that sorts after all kept ones, even if the clock went back."""
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    last = max((path.stem for path in _folder(home).glob("*")), default="")
    return name if name > last else f"{last}a"


def _folder(home: Path) -> Path:
    return home / "analysis" / "heads"


def _newest(home: Path) -> Path | None:
    return max(_folder(home).glob(f"*{_IN_USE}"), default=None)


def _read(path: Path) -> Head:
    try:
        return read_head(path.read_text(encoding="utf-8"), str(path))
    except SettingsError as error:
        raise SettingsError(f"{error}; move it away, or run: kuaimei calibrate --undo") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
