"""Free disk space, and the limit below which audio is no longer recorded.

A full disk stops the database and everything else on it. So a reserve is left: below it conversations go on
and their texts are stored, but no audio.
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

__all__ = ["Level", "Space"]

_log = logging.getLogger(__name__)

Level: TypeAlias = Literal["ok", "low", "full"]
"""low: space should be freed; full: audio is not recorded."""

_MB: Final = 1024 * 1024
_HYSTERESIS: Final = 1.1
"""Free space must exceed a limit by this factor before its level is left again."""


class Space:
    """Free disk space, as of the last call of `look`.

    Args:
        folders: Folders whose disks are checked; missing ones are ignored.
        low_mb: Free megabytes below which the level is low.
        full_mb: Free megabytes below which the level is full.

    Attributes:
        free_bytes: Free bytes on the fullest disk at the last check; None: not checked yet.
        level: Level at the last check.
    """

    def __init__(self, folders: Sequence[Path], low_mb: int, full_mb: int) -> None:
        self.free_bytes: int | None = None
        self.level: Level = "ok"
        self._folders = folders
        self._low = low_mb * _MB
        self._full = full_mb * _MB

    @property
    def full(self) -> bool:
        """True if audio must not be recorded."""
        return self.level == "full"

    def look(self) -> Level:
        """Check the disks and log a change of the level. Blocks.

        Raises:
            OSError: If a disk cannot be checked.
        """
        free = min(shutil.disk_usage(folder).free for folder in self._folders if folder.is_dir())
        self.free_bytes = free
        before, self.level = self.level, self._judge(free)
        if before != self.level:
            self._tell(free)
        return self.level

    def _judge(self, free: int) -> Level:
        full = self._full * (_HYSTERESIS if self.level == "full" else 1.0)
        low = self._low * (_HYSTERESIS if self.level != "ok" else 1.0)
        return "full" if free < full else "low" if free < low else "ok"

    def _tell(self, free: int) -> None:
        told = f"{free // _MB} MB of disk space are free"
        if self.level == "full":
            _log.error("%s: text is stored, but no audio until space is freed", told)
        elif self.level == "low":
            _log.warning(
                "%s: free some space; below %d MB audio is no longer recorded", told, self._full // _MB
            )
        else:
            _log.warning("%s: there is enough space again", told)
