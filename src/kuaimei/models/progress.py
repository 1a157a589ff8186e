"""Progress reports of a pull."""

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Receives the progress of a pull, from several threads."""

    def set_total(self, name: str, total: int) -> None:
        """Set the total number of bytes to be received for the model ``name``."""
        ...

    def advance(self, name: str, size: int) -> None:
        """Add the number of bytes received (negative: to be received again)."""
        ...

    def say(self, name: str, what: str) -> None:
        """Report the current step for the model."""
        ...


class Silent:
    """Progress that is not shown."""

    def set_total(self, name: str, total: int) -> None:
        """Do nothing."""

    def advance(self, name: str, size: int) -> None:
        """Do nothing."""

    def say(self, name: str, what: str) -> None:
        """Do nothing."""
