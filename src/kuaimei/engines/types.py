"""What is asked of engines and what they answer: the public types at the boundary."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

__all__ = [
    "CommitFlag",
    "LLMReq",
    "Language",
    "Message",
    "Priority",
    "QueueTimer",
    "STTChunk",
    "STTReq",
    "TTSReq",
    "Ticket",
    "as_language",
]

Language = Literal["zh", "en"]


def as_language(name: str | None) -> Language | None:
    """``name`` if it is one of them; None: it is unknown, or another."""
    return "zh" if name == "zh" else "en" if name == "en" else None


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Priority(IntEnum):
    """Who goes first where a queue forms; lower is sooner."""

    LIVE = 0
    """Somebody is waiting in silence for this."""
    SPECULATIVE = 1
    """A live turn that may yet be thrown away."""
    BACKGROUND = 2
    """Nobody is waiting: HQ rendering, analysis, recovery."""


@dataclass(slots=True, eq=False)
class CommitFlag:
    """Shared by the speculative requests of one turn, so that those in a queue already move up with it.

    Attributes:
        certain: Somebody waits for the answer by now.
    """

    certain: bool = False


@dataclass(slots=True, eq=False)
class QueueTimer:
    """How long requests stood in queues, told by the queues: patience with an engine does not count it.

    Where several share one, it is the time in which any of them waited.
    """

    _waiting: int = 0
    _since: float = 0.0
    _total_s: float = 0.0

    def begin(self, now: float) -> None:
        """One of them stands in a queue from ``now`` (the event loop's clock)."""
        if not self._waiting:
            self._since = now
        self._waiting += 1

    def end(self, now: float) -> None:
        """One of them stands there no longer."""
        self._waiting -= 1
        if not self._waiting:
            self._total_s += now - self._since

    def so_far_s(self, now: float) -> float:
        """Seconds until ``now``."""
        return self._total_s + (now - self._since if self._waiting else 0.0)


class Ticket(_Frozen):
    """A request's place in an engine's queue.

    Attributes:
        session: Requests of different sessions take turns within a priority.
        priority: See `Priority`.
        deadline: Time on the event loop's clock after which the answer is worthless: a request
            still queued then fails with `kuaimei.errors.QueueFull`. None: patient.
        claim: By which a speculative request becomes live while it waits.
        wait: Told how long it waits.
    """

    session: str = ""
    priority: Priority = Priority.BACKGROUND
    deadline: float | None = None
    claim: SkipValidation[CommitFlag | None] = Field(default=None, exclude=True, repr=False)
    wait: SkipValidation[QueueTimer | None] = Field(default=None, exclude=True, repr=False)

    @property
    def rank(self) -> Priority:
        """The priority as it is now."""
        return Priority.LIVE if self.claim is not None and self.claim.certain else self.priority


class STTReq(_Frozen):
    """One utterance (or a piece of one) to recognise; the samples travel beside it.

    Attributes:
        language: None lets the recogniser choose between zh and en.
        prompt: Text said just before, for context.
        hotwords: Names and terms to favour.
    """

    language: Language | None = None
    prompt: str = ""
    hotwords: tuple[str, ...] = ()
    ticket: Ticket = Ticket()


class STTChunk(_Frozen):
    """Recognised speech: a partial caption or a final piece.

    Attributes:
        text: In Traditional Chinese (s2twp) and/or English, punctuated if final.
        start_ms: Where in the audio given this text begins.
        end_ms: Where it ends.
        confidence: Mean token probability in [0, 1] where the engine gives one.
    """

    text: str
    is_final: bool
    language: Language | None = None
    start_ms: float = 0.0
    end_ms: float = 0.0
    confidence: float | None = None


class Message(_Frozen):
    """One message of the history given to the language model."""

    role: Literal["system", "user", "assistant"]
    content: str


class LLMReq(_Frozen):
    """A reply to be written.

    Attributes:
        messages: System prompt and history, oldest first, ending with the user's message.
        prefix: What of this very reply is already written: the model goes on from there and
            yields only what is new.
        max_tokens: Upper bound on new tokens.
    """

    messages: tuple[Message, ...]
    prefix: str = ""
    max_tokens: int = Field(default=200, ge=1)
    temperature: float = 0.6
    ticket: Ticket = Ticket()


class TTSReq(_Frozen):
    """A clause or text to be spoken.

    Attributes:
        text: As on the screen (Traditional Chinese, digits …); the synthesiser prepares its own reading.
        voice_id: A voice of the engine's list.
        mode: "fast" is heard at once, "hq" is the beautiful rendering.
        speed: 1.0 is the voice's own pace.
    """

    text: str
    voice_id: str = ""
    mode: Literal["fast", "hq"] = "fast"
    speed: float = Field(default=1.0, ge=0.5, le=2.0)
    ticket: Ticket = Ticket()
