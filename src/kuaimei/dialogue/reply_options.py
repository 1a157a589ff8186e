"""How a session wants to be answered."""

from dataclasses import dataclass

__all__ = ["ReplyOptions"]


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """How this session wants to be answered; a client may change it between turns.

    Attributes:
        voice: A voice of the synthesiser; empty: its default.
        speed: 1.0 is the voice's own pace.
        instructions: Replaces the system prompt of the settings, if given.
        speak: False: replies in text only.
        reply: False: a turn is transcribed and waits for an explicit request to be answered.
        interrupt: False: speech over the reply does not stop it; what was said is answered after it.
    """

    voice: str = ""
    speed: float = 1.0
    instructions: str = ""
    speak: bool = True
    reply: bool = True
    interrupt: bool = True
