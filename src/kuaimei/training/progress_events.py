"""Events that a training process writes to its standard output: one JSON object a line."""

import json
import sys
from collections.abc import Mapping
from typing import TextIO

__all__ = ["ProgressReporter"]


class ProgressReporter:
    """Writes events for the parent process, one flushed line each.

    Args:
        out: Stream to write to.
    """

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out

    def progress(self, fraction: float, eta_s: float, similarity: Mapping[str, float]) -> None:
        """Report fraction done, seconds of computing left, and similarity by encoder.

        Args:
            fraction: Fraction done, from 0 to 1.
            eta_s: Seconds of computing left.
            similarity: Cosine by encoder.
        """
        self._say(
            event="progress",
            fraction=round(min(max(fraction, 0.0), 1.0), 4),
            eta_s=round(max(eta_s, 0.0)),
            similarity=_rounded(similarity),
        )

    def done(self, style: str, decoder: str | None, similarity: Mapping[str, float]) -> None:
        """Report success, with the names of the result files in the job folder.

        Args:
            style: File name of the style.
            decoder: File name of the decoder; None: the step trained none.
            similarity: Cosine by encoder.
        """
        self._say(event="done", style=style, decoder=decoder, similarity=_rounded(similarity))

    def failed(self, message: str) -> None:
        """Report failure, with its reason in one sentence."""
        self._say(event="failed", message=message)

    def stopped(self) -> None:
        """Report a stop on request; a later process resumes from here."""
        self._say(event="stopped")

    def _say(self, **event: object) -> None:
        self._out.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._out.flush()


def _rounded(similarity: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in similarity.items()}
