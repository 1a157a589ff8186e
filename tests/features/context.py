"""What steps leave for one another."""

from typing import Any

__all__ = ["Notes"]


class Notes:
    """Attributes as they come; one that nobody left is an error that names it."""

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"no step before this one has left {name!r}")
