"""Protocols that the engines implement; one or two methods each."""

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
    """Voice activity detection, frame by frame; stateful, one per audio stream.

    Runs on the event loop: a frame takes about 0.2 ms, less than a hop to a thread and back.
    """

    frame_samples: int
    """Samples per frame at 16 kHz (Silero: 512)."""

    def probability(self, frame: Pcm) -> float:
        """Return the probability in [0, 1] that ``frame`` (16 kHz, exactly ``frame_samples``) is speech."""
        ...

    def reset(self) -> None:
        """Reset the state, as before the first frame."""
        ...


class TurnDetector(Protocol):
    """Endpointing: decides whether the speaker has finished or only paused."""

    async def completeness(self, speech: Pcm) -> float:
        """Return the probability in [0, 1] that the turn ends with ``speech`` (16 kHz; last 8 s count)."""
        ...


class Recognizer(Protocol):
    """Speech recognition of a whole utterance or of a part of one."""

    async def transcribe(self, pcm: Pcm, req: STTReq) -> STTChunk:
        """Recognize ``pcm`` (16 kHz mono).

        Returns:
            A final chunk; its text is empty if the audio holds no speech.

        Raises:
            EngineError: If recognition failed; `QueueFull` if the queue was full or the deadline passed.
        """
        ...


class CaptionStream(Protocol):
    """Live captions of one utterance while it is being spoken."""

    async def push(self, pcm: Pcm) -> STTChunk | None:
        """Add audio (16 kHz); return the partial caption of everything so far if it changed, else None."""
        ...

    async def close(self) -> None:
        """Release the stream's resources; idempotent."""
        ...


class Captioner(Protocol):
    """Creates caption streams."""

    def open(self, language: Language) -> CaptionStream:
        """Return a new stream for one utterance."""
        ...


class LanguageModel(Protocol):
    """Text generation."""

    shares_cores: bool
    """True if it computes on the same cores as the other engines.

    The caller then requests one clause, pauses generation while that clause is synthesized, and continues
    from the prefix.
    """

    def stream(self, req: LLMReq) -> AsyncIterator[str]:
        """Yield new text as it is generated, in the script shown on the screen.

        An empty piece means that the model is busy, for example with a long prompt, and has no text yet.

        Closing the iterator (``aclose``) stops the model at once.

        Raises:
            EngineError: If generation failed; `EngineUnavailable` if the model cannot be reached.
        """
        ...

    async def warm(self, req: LLMReq) -> None:
        """Read ``req`` into the prompt cache without generating; a no-op for engines without a cache."""
        ...


class Synthesizer(Protocol):
    """Speech synthesis."""

    sample_rate: int
    """Sample rate in Hz of everything `stream` yields."""

    @property
    def voices(self) -> Sequence[str]:
        """Ids of the available voices; the first is the default."""
        ...

    def stream(self, req: TTSReq) -> AsyncIterator[Pcm]:
        """Yield the spoken clause in one or more pieces, with silence trimmed at both ends.

        Raises:
            EngineError: If synthesis failed or the voice is unknown.
        """
        ...


@runtime_checkable
class StyleVoiceBank(Protocol):
    """Synthesizer that accepts new voices (styles) at run time.

    A new voice is usable from the next request on; ``voices`` lists it after the stock voices.
    """

    @property
    def stock(self) -> Mapping[str, NDArray[np.float32]]:
        """Style tables of the built-in voices, shape ``(510, 256)`` each: one style per text length."""
        ...

    def put_voice(self, voice_id: str, style: NDArray[np.float32]) -> None:
        """Add or replace the voice ``voice_id`` with ``style``.

        Args:
            voice_id: Must not be the id of a stock voice.
            style: Shape ``(256,)``, for texts of every length, or a table ``(510, 256)``.

        Raises:
            EngineError: If the style has another shape or is not finite, or the id is a stock voice's.
        """
        ...

    def drop_voice(self, voice_id: str) -> None:
        """Remove the voice; speech in progress is finished. Unknown ids are ignored."""
        ...

    def tokens(self, text: str) -> tuple[int, ...]:
        """Return the token ids of ``text`` that its network reads, without padding; blocks briefly.

        Raises:
            EngineError: If the text cannot be converted to phonemes.
        """
        ...


@runtime_checkable
class ZeroShotCloner(Protocol):
    """Synthesizer that clones the voice of a reference recording without training.

    A new voice is usable from the next request on; ``voices`` lists it after the engine's own voices.
    """

    def put_reference(self, voice_id: str, audio: bytes, transcript: str) -> None:
        """Add or replace the voice ``voice_id``, which speaks as in ``audio``.

        Args:
            voice_id: Must not be the id of one of the engine's own voices.
            audio: File in any common format, 4 to 15 s of speech.
            transcript: Words spoken in it.

        Raises:
            EngineError: If the id is that of one of the engine's own voices.
        """
        ...

    def drop_voice(self, voice_id: str) -> None:
        """Remove the voice; speech in progress is finished. Unknown ids are ignored."""
        ...


class VoiceQualityExtractor(Protocol):
    """Measures pitch and voice quality; blocking, and safe to call from several threads."""

    name: str
    """Name as in the settings: ``own``, ``praat`` …"""

    def voice(self, samples: NDArray[np.float32], rate: int) -> "VoiceQuality":
        """Measure the phonation in ``samples``.

        Args:
            samples: Mono, in [-1, 1], shape ``(n,)``; the level makes no difference.
            rate: Sample rate in Hz.
        """
        ...
