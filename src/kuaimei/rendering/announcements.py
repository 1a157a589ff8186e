"""Who wants to know when a reply's second rendering is ready."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from kuaimei.store.rows import Rendering

__all__ = ["Announcements", "Listener", "Ready"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """A reply has been rendered.

    Attributes:
        turn: Of the session.
        utterance: Id of the reply.
    """

    session: str
    turn: int
    utterance: str
    rendering: Rendering


Listener: TypeAlias = Callable[[Ready], None]
"""Called on the event loop; returns at once."""


class Announcements:
    """Tells those who are there; whoever comes later finds it in the store."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {}

    @contextmanager
    def listening(self, session: str, listener: Listener) -> Iterator[None]:
        """Tell ``listener`` of what becomes ready in ``session`` during the block."""
        self._listeners.setdefault(session, []).append(listener)
        try:
            yield
        finally:
            self._listeners[session].remove(listener)
            if not self._listeners[session]:
                del self._listeners[session]

    def tell(self, ready: Ready) -> None:
        """Whoever listens to its session."""
        for listener in tuple(self._listeners.get(ready.session, ())):
            try:
                listener(ready)
            except Exception:  # the rendering is there all the same
                _log.exception("whoever waited for a rendering failed on the news")
