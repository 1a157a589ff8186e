"""Publish/subscribe for finished HQ renderings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from kuaimei.store import broadcast
from kuaimei.store.rows import Rendering

__all__ = ["Announcements", "Listener", "Ready"]


@dataclass(frozen=True, slots=True)
class Ready:
    """Event: the HQ rendering of a reply is ready.

    Attributes:
        turn: Number of the turn in its session.
        utterance: Id of the reply.
    """

    session: str
    turn: int
    utterance: str
    rendering: Rendering


Listener: TypeAlias = Callable[[Ready], None]
"""Called on the event loop; returns at once."""

Announcements: TypeAlias = broadcast.Broadcast[Ready]
