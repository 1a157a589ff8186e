"""State of the training environment, for the page, the command line and the log."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["EnvironmentState", "Phase"]

Phase: TypeAlias = Literal["ready", "making", "waiting", "unavailable", "off"]


@dataclass(frozen=True, slots=True)
class EnvironmentState:
    """Snapshot of the installation.

    Attributes:
        state: ``waiting``: it will be installed or resumed automatically; ``unavailable``: it could not be
            installed; ``off``: it is not wanted, or would be of no use here.
        detail: State in one sentence, including what can be done.
        progress: From 0 to 1 while it is installed; else None.
        eta_s: Seconds left; None: unknown.
        size: Total bytes to download; None: not known (yet).
    """

    state: Phase
    detail: str
    progress: float | None = None
    eta_s: float | None = None
    size: int | None = None
