"""Words with which people hold their turn while they think."""

import re
from typing import Final

__all__ = ["find_fillers"]

_SOUNDS: Final = re.compile(r"[嗯呃]+|\b(?:u+h+|u+m+|e+r+m*)\b", re.IGNORECASE)


def find_fillers(text: str) -> tuple[str, ...]:
    """The fillers in ``text``, as written and in their order."""
    return tuple(_SOUNDS.findall(text))
