"""Transport of a realtime session: events in both directions, and audio that does not travel in events."""

from dataclasses import dataclass
from typing import Literal, Protocol

from kuaimei.audio.pcm import Pcm
from kuaimei.people.caller import Caller
from kuaimei.server.realtime.playback import Playback
from kuaimei.server.realtime.send_queue import SendQueue

__all__ = ["AudioSink", "Client", "CloseReason", "Disconnected", "Transport"]


class Disconnected(Exception):
    """The client has disconnected."""


@dataclass(frozen=True, slots=True)
class CloseReason:
    """Why the server ends a connection: WebSocket close code and a short reason.

    Attributes:
        error: Code of the error event that is sent before; empty: none.
        told: Message of that event; empty: the reason.
    """

    code: int
    reason: str
    error: str = ""
    told: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a connection."""

    caller: Caller
    agent: str
    transport: Literal["websocket", "webrtc"]

    @property
    def owner(self) -> str:
        """Id of the person who owns the recorded conversation."""
        return self.caller.person


class AudioSink(Protocol):
    """Receives the client's audio. See `kuaimei.dialogue.conversation.Conversation`."""

    def push_audio(self, pcm: Pcm) -> None:
        """Append audio (16 kHz)."""
        ...

    def report_playback(self, heard_ms: float) -> None:
        """Report how many milliseconds of the reply were actually played."""
        ...


class Transport(Protocol):
    """Connection to one client."""

    async def receive(self) -> str | None:
        """Return the text of the next client event; None for a message that is not text.

        Raises:
            Disconnected: If there will be none.
        """
        ...

    async def send(self, text: str) -> None:
        """Send an event, waiting while the client reads too slowly.

        Raises:
            Disconnected: If it can no longer be sent.
        """
        ...

    def playback(self, outbox: SendQueue) -> Playback:
        """Return the playback for the audio of replies."""
        ...

    def attach(self, conversation: AudioSink) -> None:
        """Send audio that travels beside the events to ``conversation``, which has started."""
        ...
