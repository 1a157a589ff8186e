"""Requests to engines and their results: the public types at the boundary."""

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
    """Return ``name`` if it is a supported language, else None."""
    return "zh" if name == "zh" else "en" if name == "en" else None


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Priority(IntEnum):
    """Order of requests where a queue forms; lower values go first."""

    LIVE = 0
    """The user is waiting for this."""
    SPECULATIVE = 1
    """Part of a live turn that may still be discarded."""
    BACKGROUND = 2
    """Work that no user waits for: HQ rendering, analysis, recovery."""


@dataclass(slots=True, eq=False)
class CommitFlag:
    """Flag shared by the speculative requests of one turn; setting it also promotes queued requests.

    Attributes:
        certain: True once the turn is certain and the user waits for the answer.
    """

    certain: bool = False


@dataclass(slots=True, eq=False)
class QueueTimer:
    """Time that requests spent in queues, recorded by the schedulers; engine timeouts exclude it.

    If several requests share one timer, it counts the time during which any of them waited.
    """

    _waiting: int = 0
    _since: float = 0.0
    _total_s: float = 0.0

    def begin(self, now: float) -> None:
        """Record that a request starts to wait at ``now`` (the event loop's clock)."""
        if not self._waiting:
            self._since = now
        self._waiting += 1

    def end(self, now: float) -> None:
        """Record that a request stops waiting at ``now``."""
        self._waiting -= 1
        if not self._waiting:
            self._total_s += now - self._since

    def so_far_s(self, now: float) -> float:
        """Return the seconds spent waiting until ``now``."""
        return self._total_s + (now - self._since if self._waiting else 0.0)


class Ticket(_Frozen):
    """Session, priority and deadline of a request in an engine's queue.

    Attributes:
        session: Session id; requests of different sessions alternate within a priority.
        priority: See `Priority`.
        deadline: Time on the event loop's clock after which the answer is worthless: a request
            still queued then fails with `kuaimei.errors.QueueFull`. None: no deadline.
        claim: Flag that promotes a speculative request to live while it waits.
        wait: Timer that records how long the request waits.
    """

    session: str = ""
    priority: Priority = Priority.BACKGROUND
    deadline: float | None = None
    claim: SkipValidation[CommitFlag | None] = Field(default=None, exclude=True, repr=False)
    wait: SkipValidation[QueueTimer | None] = Field(default=None, exclude=True, repr=False)

    @property
    def rank(self) -> Priority:
        """The current priority: live once ``claim`` is certain."""
        return Priority.LIVE if self.claim is not None and self.claim.certain else self.priority


class STTReq(_Frozen):
    """Request to recognize an utterance or a part of one; the samples are passed separately.

    Attributes:
        language: None lets the recognizer choose between zh and en.
        prompt: Text spoken just before, for context.
        hotwords: Names and terms to favour.
    """

    language: Language | None = None
    prompt: str = ""
    hotwords: tuple[str, ...] = ()
    ticket: Ticket = Ticket()


class STTChunk(_Frozen):
    """Recognized speech: a partial caption or a final piece.

    Attributes:
        text: In Traditional Chinese (s2twp) and/or English, punctuated if final.
        start_ms: Start of this text in the given audio.
        end_ms: End of this text in the given audio.
        confidence: Mean token probability in [0, 1], if the engine provides it.
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
    """Request to generate a reply.

    Attributes:
        messages: System prompt and history, oldest first, ending with the user's message.
        prefix: The part of this reply that is already written: the model continues from there and
            yields only new text.
        max_tokens: Upper bound on new tokens.
    """

    messages: tuple[Message, ...]
    prefix: str = ""
    max_tokens: int = Field(default=200, ge=1)
    temperature: float = 0.6
    ticket: Ticket = Ticket()


class TTSReq(_Frozen):
    """Request to synthesize a clause or text.

    Attributes:
        text: As on the screen (Traditional Chinese, digits …); the synthesizer derives the reading itself.
        voice_id: One of the engine's voices.
        mode: "fast" for immediate playback, "hq" for the high-quality (HQ) rendering.
        speed: Relative to the voice's own pace, which is 1.0.
    """

    text: str
    voice_id: str = ""
    mode: Literal["fast", "hq"] = "fast"
    speed: float = Field(default=1.0, ge=0.5, le=2.0)
    ticket: Ticket = Ticket()
