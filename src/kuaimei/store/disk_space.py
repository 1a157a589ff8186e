"""How much room is left on the disk, and what stops before there is none.

A disk that is full stops the database and everything else on it. So a reserve is left: below it conversations
go on and their words are kept, but no more sound.
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

__all__ = ["Level", "Space"]

_log = logging.getLogger(__name__)

Level: TypeAlias = Literal["ok", "low", "full"]
"""low: somebody should make room; full: no sound is recorded any more."""

_MB: Final = 1024 * 1024
_HYSTERESIS: Final = 1.1
"""What was full is not so any more when there is so much more room than that."""


class Space:
    """Looks when it is told to; then everybody may ask.

    Args:
        folders: On the disks that matter; those that are not there are left out.
        low_mb: Room below which somebody should make more.
        full_mb: Room below which no sound is recorded.

    Attributes:
        free_bytes: On the fullest of the disks, when it was last looked; None: it was not yet.
        level: As it was then.
    """

    def __init__(self, folders: Sequence[Path], low_mb: int, full_mb: int) -> None:
        self.free_bytes: int | None = None
        self.level: Level = "ok"
        self._folders = folders
        self._low = low_mb * _MB
        self._full = full_mb * _MB

    @property
    def full(self) -> bool:
        """No sound may be recorded."""
        return self.level == "full"

    def look(self) -> Level:
        """See how it is now; says once when it changes. Blocks.

        Raises:
            OSError: If a disk cannot be asked.
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
        told = f"{free // _MB} MB are free for what is said"
        if self.level == "full":
            _log.error("%s: words are kept, but no sound until there is more", told)
        elif self.level == "low":
            _log.warning(
                "%s: make room, or sound is not recorded any more below %d MB", told, self._full // _MB
            )
        else:
            _log.warning("%s: there is enough again", told)
