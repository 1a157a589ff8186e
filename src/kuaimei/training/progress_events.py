"""What a learning process says on its standard output: one JSON object a line."""

import json
import sys
from collections.abc import Mapping
from typing import TextIO

__all__ = ["ProgressReporter"]


class ProgressReporter:
    """Writes events for the parent, each line whole and at once.

    Args:
        out: Where to.
    """

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out

    def progress(self, fraction: float, eta_s: float, similarity: Mapping[str, float]) -> None:
        """So much is done, so many seconds of computing are left, so like it sounds by each encoder."""
        self._say(
            event="progress",
            fraction=round(min(max(fraction, 0.0), 1.0), 4),
            eta_s=round(max(eta_s, 0.0)),
            similarity=_rounded(similarity),
        )

    def done(self, style: str, decoder: str | None, similarity: Mapping[str, float]) -> None:
        """Learned: names of the files in the job's folder."""
        self._say(event="done", style=style, decoder=decoder, similarity=_rounded(similarity))

    def failed(self, message: str) -> None:
        """Given up, and why in one sentence."""
        self._say(event="failed", message=message)

    def stopped(self) -> None:
        """Asked to stop; a later process goes on from here."""
        self._say(event="stopped")

    def _say(self, **event: object) -> None:
        self._out.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._out.flush()


def _rounded(similarity: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in similarity.items()}
