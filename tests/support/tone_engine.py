"""An engine that sounds a tone for as long as its text is, and keeps what it was asked."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kuaimei.errors import WeightsError
from kuaimei.workers.threaded import open_in_thread
from kuaimei.workers.types import EngineRequest, EngineSpec, Licence, Options, TTSEngine

RATE = 16_000


@dataclass
class Tone:
    """10 ms for each character, in pieces of one character."""

    voices: tuple[str, ...] = ("one", "two")
    sample_rate: int = RATE
    asked: list[EngineRequest] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    left_early: int = 0
    damaged: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    opening: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def speak(self, speech: EngineRequest) -> Iterator[NDArray[np.float32]]:
        self.asked.append(speech)
        self.begun.set()
        assert speech.reference is None or speech.reference.path.read_bytes().startswith(b"RIFF")
        done = False
        try:
            for char in speech.text:
                self.gate.wait(10)
                if char == "!":
                    raise ValueError("no such sound")
                time = np.arange(RATE // 100) / RATE
                yield (0.25 * np.sin(2 * np.pi * 200 * time)).astype(np.float32)
            done = True
        finally:
            self.left_early += not done

    def card(self, *, transcript: bool = True, references: bool = True, speed: bool = True) -> EngineSpec:
        @asynccontextmanager
        async def open_it(options: Options) -> AsyncIterator[TTSEngine]:
            options.progress("weights")

            def make() -> Tone:
                self.opening.set()
                self.gate.wait(10)
                if self.damaged:
                    raise WeightsError("the tone is damaged")
                self.opened += 1
                return self

            async with open_in_thread("tone", make) as speaker:
                yield speaker
            self.closed += 1

        return EngineSpec(
            name="tone",
            package="tests",
            licence=Licence(code="none", weights="none", commercial=True, source="nowhere"),
            openers={"fast": open_it},
            memory_mb=1.0,
            references=references,
            transcript=transcript,
            speed=speed,
        )
