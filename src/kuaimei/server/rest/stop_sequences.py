"""Stop sequences in streamed text."""

from collections.abc import Sequence

__all__ = ["StopSequenceFilter"]


class StopSequenceFilter:
    """Passes streamed text up to the first stop sequence, which may arrive in several pieces.

    Args:
        stops: The stop sequences; they are not passed on.

    Attributes:
        stopped: True once a stop sequence was found.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Add ``text`` and return what certainly precedes any stop sequence."""
        if self.stopped:
            return ""
        self._held += text
        found = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.stopped = True
            passed, self._held = self._held[: min(found)], ""
            return passed
        keep = max((self._overlap(stop) for stop in self._stops), default=0)
        cut = len(self._held) - keep
        passed, self._held = self._held[:cut], self._held[cut:]
        return passed

    def flush(self) -> str:
        """Return the text held back because it might have begun a stop sequence."""
        held, self._held = self._held, ""
        return held

    def _overlap(self, stop: str) -> int:
        """Return the length of the longest suffix of the held text that is a prefix of ``stop``."""
        longest = min(len(stop) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if stop.startswith(self._held[-n:])), 0)
