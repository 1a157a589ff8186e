"""What a conversation tells its observers, and how its turns are numbered."""

import logging
from collections.abc import Sequence

from kuaimei.dialogue.events import Event, Observer
from kuaimei.system.failures import trace_of

__all__ = ["EventBus"]

_log = logging.getLogger(__name__)


class EventBus:
    """One stream of events, and the numbers on them.

    Args:
        first_turn: Number of the first turn.

    Attributes:
        turn: Number of the latest turn that is certain.
    """

    def __init__(self, observers: Sequence[Observer], first_turn: int) -> None:
        self._observers = list(observers)
        self._numbered = first_turn - 1
        self._closed = False
        self.turn = first_turn - 1

    def observe(self, observer: Observer) -> None:
        """Tell ``observer`` of every event from now on."""
        self._observers.append(observer)

    def emit(self, event: Event) -> None:
        """Tell everybody; who watches must not be able to stop the conversation."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception as error:
                _log.error("an observer failed on %s:\n%s", type(event).__name__, trace_of(error))

    def allocate_turn_number(self) -> int:
        """The number of a new turn.

        Raises:
            RuntimeError: If the conversation is closed.
        """
        if self._closed:
            raise RuntimeError("the conversation is closed")
        self._numbered += 1
        return self._numbered

    def release_turn_number(self, number: int) -> None:
        """What got ``number`` turned out to be no turn; the next may have it, if none came since."""
        if self._numbered == number:
            self._numbered -= 1

    def close(self) -> None:
        """No more turns."""
        self._closed = True
