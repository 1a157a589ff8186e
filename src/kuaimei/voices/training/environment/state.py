"""How far the environment for learning is, for the page, the command line and the log."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["EnvironmentState", "Phase"]

Phase: TypeAlias = Literal["ready", "making", "waiting", "unavailable", "off"]


@dataclass(frozen=True, slots=True)
class EnvironmentState:
    """One moment of it.

    Attributes:
        state: ``waiting``: it will be made, or goes on, by itself; ``unavailable``: it could not be made;
            ``off``: it is left out, or would be of no use here.
        detail: In one sentence, which also says what can be done.
        progress: From 0 to 1 while it is made; else None.
        eta_s: Seconds that are left; None: unknown.
        size: Bytes that are downloaded for it in all; None: not known (yet).
    """

    state: Phase
    detail: str
    progress: float | None = None
    eta_s: float | None = None
    size: int | None = None
