"""Publish/subscribe for results that arrive after a turn has ended (HQ renderings, analyses)."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from kuaimei.system.failures import trace_of

__all__ = ["Broadcast", "SessionScoped"]

_log = logging.getLogger(__name__)


class SessionScoped(Protocol):
    """An event about a session."""

    @property
    def session(self) -> str:
        """Id of the session."""
        ...


T = TypeVar("T", bound=SessionScoped)


class Broadcast(Generic[T]):
    """Delivers events to the current subscribers of a session; later clients find the results in the store.

    Listeners are called on the event loop and return at once.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, list[Callable[[T], None]]] = {}

    @contextmanager
    def subscribe(self, session: str, listener: Callable[[T], None]) -> Iterator[None]:
        """Call ``listener`` for each event of ``session`` during the block."""
        self._listeners.setdefault(session, []).append(listener)
        try:
            yield
        finally:
            self._listeners[session].remove(listener)
            if not self._listeners[session]:
                del self._listeners[session]

    def publish(self, known: T) -> None:
        """Call the listeners of the event's session."""
        for listener in tuple(self._listeners.get(known.session, ())):
            try:
                listener(known)
            except Exception as error:  # the result is stored all the same
                _log.error("a listener for the events of a session failed:\n%s", trace_of(error))
