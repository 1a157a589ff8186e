"""Interfaces between a worker and its engine: requests, options and specifications."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.types import Ticket
from kuaimei.settings import Settings

__all__ = [
    "BlockingTTSEngine",
    "EngineRequest",
    "EngineSpec",
    "Licence",
    "Mode",
    "Opener",
    "Options",
    "Progress",
    "ReferenceAudio",
    "TTSEngine",
]

Mode: TypeAlias = Literal["fast", "hq"]

Progress: TypeAlias = Callable[[str], None]
"""Called with a word or two on what is being loaded."""


@dataclass(frozen=True, slots=True)
class ReferenceAudio:
    """Reference recording of a voice.

    Attributes:
        path: WAV file: mono, 16 bits, 24 kHz.
        transcript: What is said in it; empty: unknown.
    """

    path: Path
    transcript: str = ""


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """A text to be synthesized.

    Attributes:
        text: The text as written.
        voice: One of the engine's own voices; empty: its default.
        reference: A recording of the voice to use instead of ``voice``.
        speed: Speaking rate; 1 is normal.
        instructions: How to say it, for engines that follow instructions.
        mode: ``hq`` may take longer.
        ticket: Priority and session for scheduling.
    """

    text: str
    voice: str = ""
    reference: ReferenceAudio | None = None
    speed: float = 1.0
    instructions: str = ""
    mode: Mode = "fast"
    ticket: Ticket = field(default_factory=Ticket)


class TTSEngine(Protocol):
    """An open speech engine."""

    @property
    def sample_rate(self) -> int:
        """Sample rate of the output in Hz."""
        ...

    @property
    def voices(self) -> Sequence[str]:
        """The engine's own voices, the default first; empty: it needs a reference."""
        ...

    def stream(self, speech: EngineRequest) -> AsyncIterator[Pcm]:
        """Synthesize the text and yield it in one or more pieces.

        Raises:
            EngineError: If synthesis fails.
        """
        ...


class BlockingTTSEngine(Protocol):
    """An engine that computes synchronously in the calling thread."""

    @property
    def sample_rate(self) -> int:
        """See `TTSEngine.sample_rate`."""
        ...

    @property
    def voices(self) -> Sequence[str]:
        """See `TTSEngine.voices`."""
        ...

    def speak(self, speech: EngineRequest) -> Iterator[NDArray[np.float32]]:
        """Yield samples in [-1, 1] in one or more pieces; each ``next`` may take seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """Options for opening an engine.

    Attributes:
        settings: The settings.
        model: Folder, file, or name of the weights; empty: the engine's default weights.
        device: ``cuda``, ``cuda:1``, ``cpu``; empty: the GPU if there is one.
        progress: See `Progress`.
    """

    settings: Settings
    model: str = ""
    device: str = ""
    progress: Progress = lambda stage: None


Opener: TypeAlias = Callable[[Options], AbstractAsyncContextManager[TTSEngine]]


@dataclass(frozen=True, slots=True)
class Licence:
    """Licences of an engine's code and weights.

    Attributes:
        code: Licence of the package.
        weights: Licence of the weights.
        commercial: Whether the weights may be used commercially.
        source: Where the weights come from.
    """

    code: str
    weights: str
    commercial: bool
    source: str


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Specification of an engine that can be served.

    Attributes:
        name: Name used in options and requests.
        package: Package to install, with the version its adapter was written against.
        licence: Shown before the first use.
        openers: Opener for each mode; an engine without a separate ``hq`` mode has only ``fast``.
        memory_mb: Approximate memory of each mode in MB.
        references: True if it can clone the voice of a reference recording.
        transcript: True if references need a transcript.
        instructions: True if it follows instructions on how to speak.
        speed: True if the speaking rate can be changed.
    """

    name: str
    package: str
    licence: Licence
    openers: Mapping[Mode, Opener]
    memory_mb: float
    references: bool = True
    transcript: bool = False
    instructions: bool = False
    speed: bool = True
