"""Quarantine for utterances that can never be stored.

A folder beside the spools, ``spool/broken``, with ``ID.pcm`` and ``ID.json`` as they were. They are not
retried; they are deleted with their session, or after `NAMELESS_DAYS` if they name no session.
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
"""Days for which audio of an unknown owner is kept."""
_RUNS: Final = "run_*"
_FOLDER: Final = "broken"
_LOCK: Final = "lock"


class Broken:
    """The quarantine folder. All methods block.

    Args:
        spools: The folder that contains it.
    """

    def __init__(self, spools: Path) -> None:
        self.folder = spools / _FOLDER

    @property
    def count(self) -> int:
        """Number of utterances in quarantine."""
        return len({_stem(name) for name in _names(self.folder)})

    def take(self, run: Path, name: str) -> bool:
        """Move the files of utterance ``name`` here from the folder ``run``; return False if there are none.

        Raises:
            OSError: If a file cannot be moved; it remains where it was.
        """
        found = [path for path in run.glob(f"{name}.*") if path.suffix in {".pcm", ".json"}]
        if found:
            durability.make_folder(self.folder)
            for path in found:
                durability.rename(path, self.folder / path.name)
        for left in run.glob(f"{name}.*"):
            left.unlink(missing_ok=True)  # derived files
        return bool(found)

    def expire(self, now_s: float | None = None) -> int:
        """Delete utterances without a readable record after `NAMELESS_DAYS`; return how many.

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
    """Delete spooled (by any process) and quarantined files of records that match. Blocks.

    Args:
        spools: Folder of the spool runs.
        matches: Selects the records.
        ids: Utterances whose files are deleted even if their record cannot be read.

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
    """Return the id of the utterance that a file belongs to."""
    return name.partition(".")[0]


def _record(path: Path) -> UtteranceRecord | None:
    try:
        return UtteranceRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
