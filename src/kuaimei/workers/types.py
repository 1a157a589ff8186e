"""What a worker asks of its engine, and what it says of it."""

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
"""Told in a word or two what is being loaded."""


@dataclass(frozen=True, slots=True)
class ReferenceAudio:
    """Somebody's voice.

    Attributes:
        path: A mono WAV file of 16 bits at 24 kHz.
        transcript: What is said in it; empty: not known.
    """

    path: Path
    transcript: str = ""


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """A text to be spoken.

    Attributes:
        text: As on the screen.
        voice: Of the engine's own; empty: its default.
        reference: The voice to speak in instead.
        instructions: How to say it, where the engine listens to that.
        mode: ``hq`` may take its time.
    """

    text: str
    voice: str = ""
    reference: ReferenceAudio | None = None
    speed: float = 1.0
    instructions: str = ""
    mode: Mode = "fast"
    ticket: Ticket = field(default_factory=Ticket)


class TTSEngine(Protocol):
    """An open engine."""

    @property
    def sample_rate(self) -> int:
        """Of everything it gives, in Hz."""
        ...

    @property
    def voices(self) -> Sequence[str]:
        """Its own voices, the default first; empty: it needs a reference."""
        ...

    def stream(self, speech: EngineRequest) -> AsyncIterator[Pcm]:
        """The text spoken, in one or more pieces.

        Raises:
            EngineError: If it cannot be.
        """
        ...


class BlockingTTSEngine(Protocol):
    """An engine of an ordinary package, which computes where it is called."""

    @property
    def sample_rate(self) -> int:
        """See `TTSEngine.sample_rate`."""
        ...

    @property
    def voices(self) -> Sequence[str]:
        """See `TTSEngine.voices`."""
        ...

    def speak(self, speech: EngineRequest) -> Iterator[NDArray[np.float32]]:
        """Samples in [-1, 1], in one or more pieces; each ``next`` may take seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """How to open an engine.

    Attributes:
        settings: Everything configured.
        model: Folder, file, or name of the weights; empty: the engine's usual ones.
        device: ``cuda``, ``cuda:1``, ``cpu``; empty: the graphics card if there is one.
        progress: See `Progress`.
    """

    settings: Settings
    model: str = ""
    device: str = ""
    progress: Progress = lambda stage: None


Opener: TypeAlias = Callable[[Options], AbstractAsyncContextManager[TTSEngine]]


@dataclass(frozen=True, slots=True)
class Licence:
    """What may be done with an engine.

    Attributes:
        code: Of the package.
        weights: Of what it loads.
        commercial: Whether the weights may be used commercially.
        source: Where the weights come from.
    """

    code: str
    weights: str
    commercial: bool
    source: str


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine that can be served.

    Attributes:
        name: By which it is asked for.
        package: What has to be installed for it, with the version its adapter was written against.
        licence: Shown before the first use.
        openers: By mode; an engine without a mode of its own for ``hq`` has one opener for both.
        memory_mb: Of each, roughly.
        references: Whether it speaks in the voice of a reference.
        transcript: Whether that needs to be written down, too.
        instructions: Whether it listens to how something is to be said.
        speed: Whether it can be told to speak faster or slower.
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
