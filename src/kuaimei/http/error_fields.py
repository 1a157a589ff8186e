"""Fields in what a client sent, for telling it which one is wrong, and why."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["field_names", "mistake"]


def mistake(detail: Mapping[str, Any], body: object, *, skip: int = 0) -> tuple[list[str], str]:
    """Names of the field that is wrong, outermost first, and what is wrong with it.

    Args:
        detail: Of pydantic's errors.
        body: See `field_names`.
        skip: Leading parts of the path that are not the client's.
    """
    names = field_names(detail["loc"][skip:], body, missing=detail["type"] == "missing")
    return list(names), str(detail["msg"]).removeprefix("Value error, ")


def field_names(path: Sequence[str | int], body: object, *, missing: bool = False) -> Iterator[str]:
    """Yield those parts of pydantic's ``path`` to a mistake that the client has written or left out.

    Between them pydantic names the alternatives that it tried where a field may have several types:
    ``messages.0.content.list[Part].1.text`` is ``messages.0.content.1.text`` to whoever wrote it.

    Args:
        path: Names of fields and places in lists, outermost first.
        body: What was sent, as JSON; None: it was none, and the whole path is names.
        missing: The last of ``path`` was left out.
    """
    known = body is not None
    for number, part in enumerate(path):
        if known:
            if _has(body, part):
                body = body[part]  # type: ignore[index]
            elif not (missing and number == len(path) - 1):
                continue
        yield str(part)


def _has(body: object, part: str | int) -> bool:
    if isinstance(body, list):
        return isinstance(part, int) and part < len(body)
    return isinstance(body, dict) and part in body
