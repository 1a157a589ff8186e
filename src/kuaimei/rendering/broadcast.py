"""Who wants to know when a reply's second rendering is ready."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from kuaimei.store import broadcast
from kuaimei.store.rows import Rendering

__all__ = ["Announcements", "Listener", "Ready"]


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

Announcements: TypeAlias = broadcast.Broadcast[Ready]
