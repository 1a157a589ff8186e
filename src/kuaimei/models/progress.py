"""How a pull tells where it stands."""

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Told how a pull goes on, from several threads."""

    def set_total(self, name: str, total: int) -> None:
        """So many bytes, in all, will have come for the model ``name``."""
        ...

    def advance(self, name: str, size: int) -> None:
        """So many more have come (fewer, if negative)."""
        ...

    def say(self, name: str, what: str) -> None:
        """What is being done with the model now."""
        ...


class Silent:
    """Progress that nobody watches."""

    def set_total(self, name: str, total: int) -> None:
        """Not shown."""

    def advance(self, name: str, size: int) -> None:
        """Not shown."""

    def say(self, name: str, what: str) -> None:
        """Not shown."""
