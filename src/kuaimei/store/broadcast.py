"""Who wants to know when something about a session becomes known that takes longer than its turns."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from kuaimei.system.failures import trace_of

__all__ = ["Broadcast", "SessionScoped"]

_log = logging.getLogger(__name__)


class SessionScoped(Protocol):
    """Something that is known now."""

    @property
    def session(self) -> str:
        """Id of the session that it is about."""
        ...


T = TypeVar("T", bound=SessionScoped)


class Broadcast(Generic[T]):
    """Tells those who are there; whoever comes later finds it in the store.

    Listeners are called on the event loop and return at once.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, list[Callable[[T], None]]] = {}

    @contextmanager
    def subscribe(self, session: str, listener: Callable[[T], None]) -> Iterator[None]:
        """Tell ``listener`` of what becomes known of ``session`` during the block."""
        self._listeners.setdefault(session, []).append(listener)
        try:
            yield
        finally:
            self._listeners[session].remove(listener)
            if not self._listeners[session]:
                del self._listeners[session]

    def publish(self, known: T) -> None:
        """Whoever listens to its session."""
        for listener in tuple(self._listeners.get(known.session, ())):
            try:
                listener(known)
            except Exception as error:  # it is kept all the same
                _log.error("whoever waited for news of a session failed on them:\n%s", trace_of(error))
