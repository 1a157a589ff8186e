"""What carries a realtime session: events both ways, and sound where that does not travel in events."""

from dataclasses import dataclass
from typing import Literal, Protocol

from kuaimei.audio.pcm import Pcm
from kuaimei.people.caller import Caller
from kuaimei.server.realtime.playback import Playback
from kuaimei.server.realtime.send_queue import SendQueue

__all__ = ["AudioSink", "Client", "CloseReason", "Disconnected", "Transport"]


class Disconnected(Exception):
    """The client has left."""


@dataclass(frozen=True, slots=True)
class CloseReason:
    """Why the server ends a connection: WebSocket close code and a short reason.

    Attributes:
        error: Code of the error event that is sent before; empty: none.
        told: What that says; empty: the reason.
    """

    code: int
    reason: str
    error: str = ""
    told: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """Who is at the other end."""

    caller: Caller
    agent: str
    transport: Literal["websocket", "webrtc"]

    @property
    def owner(self) -> str:
        """Id of the person to whom belongs what is said."""
        return self.caller.person


class AudioSink(Protocol):
    """What the client's sound goes to (`kuaimei.dialogue.conversation.Conversation`)."""

    def push_audio(self, pcm: Pcm) -> None:
        """More audio (16 kHz)."""
        ...

    def report_playback(self, heard_ms: float) -> None:
        """So much of the reply was really played."""
        ...


class Transport(Protocol):
    """One client's connection."""

    async def receive(self) -> str | None:
        """The next client event's text; None for something that is no text.

        Raises:
            Gone: If there will be none.
        """
        ...

    async def send(self, text: str) -> None:
        """Send an event, waiting while the client reads too slowly.

        Raises:
            Gone: If it cannot be sent any more.
        """
        ...

    def playback(self, outbox: SendQueue) -> Playback:
        """Where the audio of replies goes."""
        ...

    def attach(self, conversation: AudioSink) -> None:
        """The conversation has begun: sound that travels beside the events goes to it from now on."""
        ...
