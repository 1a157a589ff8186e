"""Where records go that can never be kept: out of everybody's way, with their sound.

Beside the spools, in ``spool/broken``: ``ID.pcm`` and ``ID.json`` as they were. Nobody takes them up again by
itself; they go when their session is deleted, and what names no session after `NAMELESS_DAYS`.
"""

import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from kuaimei.store.utterance_record import UtteranceRecord
from kuaimei.system import durability

__all__ = ["NAMELESS_DAYS", "Broken", "forget"]

NAMELESS_DAYS: Final = 30
"""Days for which sound is kept of which nobody can say whose it is."""
_RUNS: Final = "run_*"
_FOLDER: Final = "broken"
_LOCK: Final = "lock"


class Broken:
    """The folder. All methods block.

    Args:
        spools: The folder it lies in.
    """

    def __init__(self, spools: Path) -> None:
        self.folder = spools / _FOLDER

    @property
    def count(self) -> int:
        """Records in it."""
        return len({_stem(name) for name in _names(self.folder)})

    def take(self, run: Path, name: str) -> bool:
        """Move all files of the utterance ``name`` here from the folder ``run``; False: there are none.

        Raises:
            OSError: If they cannot be moved; they are where they were, then.
        """
        found = [path for path in run.glob(f"{name}.*") if path.suffix in {".pcm", ".json"}]
        if found:
            durability.make_folder(self.folder)
            for path in found:
                durability.rename(path, self.folder / path.name)
        for left in run.glob(f"{name}.*"):
            left.unlink(missing_ok=True)  # what was made of them
        return bool(found)

    def expire(self, now_s: float | None = None) -> int:
        """Delete what names no session and has lain here for `NAMELESS_DAYS`; how many that were.

        Args:
            now_s: Unix time; None: now.

        Raises:
            OSError: If a file cannot be deleted.
        """
        oldest_s = (time.time() if now_s is None else now_s) - NAMELESS_DAYS * 86_400.0
        gone = set()
        for name in _names(self.folder):
            path = self.folder / name
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest_s and _record(path.with_suffix(".json")) is None:
                    durability.remove_file(path)
                    gone.add(_stem(name))
        return len(gone)


def forget(spools: Path, matches: Callable[[UtteranceRecord], bool], ids: Collection[str] = ()) -> None:
    """Delete what is spooled, by whatever process, or lies aside, of records that match. Blocks.

    Args:
        spools: Folder of the runs.
        matches: Which records.
        ids: Utterances whose files go in any case, whether their record can be read or not.

    Raises:
        OSError: If a file cannot be deleted.
    """
    wanted = set(ids)
    for folder in [*sorted(spools.glob(_RUNS)), spools / _FOLDER]:
        names = _names(folder)
        for name in names:
            if name.endswith(".json") and (record := _record(folder / name)) is not None and matches(record):
                wanted.add(record.id)
        gone = [name for name in names if _stem(name) in wanted]
        for name in gone:
            with suppress(FileNotFoundError):
                (folder / name).unlink()
        if gone:
            with suppress(FileNotFoundError):
                durability.sync_folder(folder)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name != _LOCK)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _stem(name: str) -> str:
    """Id of the utterance that a file belongs to."""
    return name.partition(".")[0]


def _record(path: Path) -> UtteranceRecord | None:
    try:
        return UtteranceRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
