"""Reply options of a session."""

from dataclasses import dataclass

__all__ = ["ReplyOptions"]


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """Options for the replies of a session; a client may change them between turns.

    Attributes:
        voice: Id of a voice of the synthesizer; empty: its default.
        speed: Speaking rate; 1.0 is the voice's own pace.
        instructions: Replaces the system prompt of the settings, if not empty.
        speak: False: replies in text only.
        reply: False: a turn is only transcribed; a reply has to be requested explicitly.
        interrupt: False: speech over a reply does not stop it and is answered after it.
    """

    voice: str = ""
    speed: float = 1.0
    instructions: str = ""
    speak: bool = True
    reply: bool = True
    interrupt: bool = True
