"""Event bus of a conversation, and the numbering of its turns."""

import logging
from collections.abc import Sequence

from kuaimei.dialogue.events import Event, Observer
from kuaimei.system.failures import trace_of

__all__ = ["EventBus"]

_log = logging.getLogger(__name__)


class EventBus:
    """Delivers events to observers and allocates turn numbers.

    Args:
        first_turn: Number of the first turn.

    Attributes:
        turn: Number of the latest committed turn.
    """

    def __init__(self, observers: Sequence[Observer], first_turn: int) -> None:
        self._observers = list(observers)
        self._numbered = first_turn - 1
        self._closed = False
        self.turn = first_turn - 1

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` with every event from now on."""
        self._observers.append(observer)

    def emit(self, event: Event) -> None:
        """Pass ``event`` to all observers; an observer that fails must not stop the conversation."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception as error:
                _log.error("an observer failed on %s:\n%s", type(event).__name__, trace_of(error))

    def allocate_turn_number(self) -> int:
        """Return the number of a new turn.

        Raises:
            RuntimeError: If the conversation is closed.
        """
        if self._closed:
            raise RuntimeError("the conversation is closed")
        self._numbered += 1
        return self._numbered

    def release_turn_number(self, number: int) -> None:
        """Release ``number`` of a rejected turn for reuse, unless a later one has been allocated."""
        if self._numbered == number:
            self._numbered -= 1

    def close(self) -> None:
        """Allocate no more turn numbers."""
        self._closed = True
