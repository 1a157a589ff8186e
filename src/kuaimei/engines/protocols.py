"""The Protocols behind which every engine stands; one or two methods each."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.types import Language, LLMReq, STTChunk, STTReq, TTSReq

if TYPE_CHECKING:  # the meters' own package imports this module
    from kuaimei.engines.prosody.types import VoiceQuality

__all__ = [
    "CaptionStream",
    "Captioner",
    "LanguageModel",
    "Recognizer",
    "StyleVoiceBank",
    "Synthesizer",
    "TurnDetector",
    "VoiceActivityDetector",
    "VoiceQualityExtractor",
    "ZeroShotCloner",
]


class VoiceActivityDetector(Protocol):
    """Speech or not, frame by frame; stateful, one per stream of audio.

    Runs on the event loop: a frame takes some 0.2 ms, less than a hop to a thread and back.
    """

    frame_samples: int
    """Samples per frame at 16 kHz (Silero: 512)."""

    def probability(self, frame: Pcm) -> float:
        """Probability in [0, 1] that ``frame`` (16 kHz, exactly ``frame_samples``) holds speech."""
        ...

    def reset(self) -> None:
        """Forget what was heard."""
        ...


class TurnDetector(Protocol):
    """Has the speaker finished, or only paused?"""

    async def completeness(self, speech: Pcm) -> float:
        """Probability in [0, 1] that the turn ended with ``speech`` (16 kHz; at most the last 8 s count)."""
        ...


class Recognizer(Protocol):
    """Speech to text, a whole utterance or a piece of one at a time."""

    async def transcribe(self, pcm: Pcm, req: STTReq) -> STTChunk:
        """Recognise ``pcm`` (16 kHz mono).

        Returns:
            A final chunk; its text is empty if nothing was said.

        Raises:
            EngineError: If recognition failed; `QueueFull` if there was no place or time for it.
        """
        ...


class CaptionStream(Protocol):
    """Captions of one utterance while it is being spoken."""

    async def push(self, pcm: Pcm) -> STTChunk | None:
        """Hear more (16 kHz); the partial caption of everything so far if it changed, else None."""
        ...

    async def close(self) -> None:
        """Let go of what the stream holds; idempotent."""
        ...


class Captioner(Protocol):
    """Makes caption streams."""

    def open(self, language: Language) -> CaptionStream:
        """A fresh stream for one utterance."""
        ...


class LanguageModel(Protocol):
    """Text to text."""

    shares_cores: bool
    """True if it computes on the same cores as the other engines: then whoever uses it asks for one
    clause, lets it rest while that clause is synthesised, and goes on from the prefix."""

    def stream(self, req: LLMReq) -> AsyncIterator[str]:
        """New text as it is written, in the script of the screen.

        An empty piece says that the model is at work, such as on a long prompt, and has no text yet.

        Closing the iterator (``aclose``) stops the model at once.

        Raises:
            EngineError: If generation failed; `EngineUnavailable` if the model cannot be reached.
        """
        ...

    async def warm(self, req: LLMReq) -> None:
        """Read ``req`` into the prompt cache without writing anything; a no-op where there is none."""
        ...


class Synthesizer(Protocol):
    """Text to speech."""

    sample_rate: int
    """Of everything `stream` yields, in Hz."""

    @property
    def voices(self) -> Sequence[str]:
        """Ids of the voices at hand; the first is the default."""
        ...

    def stream(self, req: TTSReq) -> AsyncIterator[Pcm]:
        """The clause spoken, silence trimmed at both ends, in one or more pieces.

        Raises:
            EngineError: If synthesis failed or the voice is unknown.
        """
        ...


@runtime_checkable
class StyleVoiceBank(Protocol):
    """A synthesiser that learns voices at run time.

    They speak from the next request on; ``voices`` names them after the stock ones.
    """

    @property
    def stock(self) -> Mapping[str, NDArray[np.float32]]:
        """Tables of the voices it came with, shape ``(510, 256)`` each: a style for each length."""
        ...

    def put_voice(self, voice_id: str, style: NDArray[np.float32]) -> None:
        """Speak as ``style`` when ``voice_id`` is asked for; what it was before is replaced.

        Args:
            voice_id: Not that of a stock voice.
            style: Shape ``(256,)``, for texts of every length, or a table ``(510, 256)``.

        Raises:
            EngineError: If the style is of another shape or not finite, or the id is a stock voice's.
        """
        ...

    def drop_voice(self, voice_id: str) -> None:
        """Forget the voice; what is being spoken in it is finished. Not known is fine."""
        ...

    def tokens(self, text: str) -> tuple[int, ...]:
        """``text`` as the numbers its network reads, without pads; blocks for a moment.

        Raises:
            EngineError: If the text cannot be read.
        """
        ...


@runtime_checkable
class ZeroShotCloner(Protocol):
    """A synthesiser that speaks in the voice of a recording, without learning anything first.

    They speak from the next request on; ``voices`` names them after the engine's own.
    """

    def put_reference(self, voice_id: str, audio: bytes, transcript: str) -> None:
        """Speak as in ``audio`` when ``voice_id`` is asked for; what it was before is replaced.

        Args:
            voice_id: Not that of a voice of the engine's own.
            audio: A file of any common format, 4 to 15 s of speech.
            transcript: What is said in it.

        Raises:
            EngineError: If the id is that of a voice of the engine's own.
        """
        ...

    def drop_voice(self, voice_id: str) -> None:
        """Forget the voice; what is being spoken in it is finished. Not known is fine."""
        ...


class VoiceQualityExtractor(Protocol):
    """Measures pitch and the quality of a voice; blocking, and safe to call from several threads."""

    name: str
    """As in the settings: ``own``, ``praat`` …"""

    def voice(self, samples: NDArray[np.float32], rate: int) -> "VoiceQuality":
        """What the vocal folds do in ``samples``.

        Args:
            samples: Mono, in [-1, 1], shape ``(n,)``; their level makes no difference.
            rate: In Hz.
        """
        ...
