"""Latency measurement of the stages of a turn."""

from collections.abc import Callable
from typing import Literal, TypeAlias

from kuaimei.dialogue.events import TurnLatencies

__all__ = ["Mark", "TurnLatency"]

Mark: TypeAlias = Literal[
    "endpoint", "transcript", "first_token", "first_clause", "first_audio", "last_audio"
]


class TurnLatency:
    """Collects loop times of the stages of one turn.

    Args:
        now: Returns the loop time in seconds.
        t0: Initial value of the attribute.

    Attributes:
        t0: Loop time of the user's last voiced frame.
    """

    def __init__(self, now: Callable[[], float], t0: float) -> None:
        self._now = now
        self._marks: dict[Mark, float] = {}
        self.t0 = t0

    def mark(self, mark: Mark) -> None:
        """Record the current time as ``mark``; the first call wins, except for ``last_audio``."""
        if mark == "last_audio":
            self._marks[mark] = self._now()
        else:
            self._marks.setdefault(mark, self._now())

    def timing(
        self, *, speech_s: float, recognition_s: float, tokens: int, writing_s: float, reply_audio_s: float
    ) -> TurnLatencies:
        """Return all marks in milliseconds since ``t0``, with the given amounts. See `TurnLatencies`."""

        def since_t0(mark: Mark) -> float | None:
            at = self._marks.get(mark)
            return None if at is None else (at - self.t0) * 1000.0

        return TurnLatencies(
            endpoint_ms=since_t0("endpoint"),
            transcript_ms=since_t0("transcript"),
            first_token_ms=since_t0("first_token"),
            first_clause_ms=since_t0("first_clause"),
            first_audio_ms=since_t0("first_audio"),
            last_audio_ms=since_t0("last_audio"),
            speech_s=speech_s,
            recognition_s=recognition_s,
            tokens=tokens,
            writing_s=writing_s,
            reply_audio_s=reply_audio_s,
        )
