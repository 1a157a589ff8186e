"""Names of the invalid fields in a client's request, for error messages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["field_names", "mistake"]


def mistake(detail: Mapping[str, Any], body: object, *, skip: int = 0) -> tuple[list[str], str]:
    """Return the path of the invalid field, outermost name first, and what is wrong with it.

    Args:
        detail: One of pydantic's errors.
        body: See `field_names`.
        skip: Number of leading parts of the path that are not the client's.
    """
    names = field_names(detail["loc"][skip:], body, missing=detail["type"] == "missing")
    return list(names), str(detail["msg"]).removeprefix("Value error, ")


def field_names(path: Sequence[str | int], body: object, *, missing: bool = False) -> Iterator[str]:
    """Yield those parts of pydantic's error ``path`` that the client wrote or left out.

    Between them pydantic names the alternatives that it tried where a field may have several types:
    ``messages.0.content.list[Part].1.text`` is ``messages.0.content.1.text`` to the client.

    Args:
        path: Field names and list indices, outermost first.
        body: What was sent, as JSON; None: it was not JSON, and the whole path is yielded.
        missing: The last part of ``path`` was left out by the client.
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
