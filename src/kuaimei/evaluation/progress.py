"""How a long run reports its progress."""

from collections.abc import Callable
from typing import TypeAlias

__all__ = ["ReportProgress"]

ReportProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of the current work, the steps done, and the total number of steps."""
