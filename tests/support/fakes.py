"""Engines that cost nothing and do what the test says.

Speech is made of letters: each character lasts `CHARACTER_MS` and its samples spell its code point, so
that a fake recogniser understands exactly what a test has `said`, piecewise too. What a fake answers,
how long it takes and how it fails are attributes; a test may change them at any time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeVar

import numpy as np

from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.events import Event, SpeechAudio
from kuaimei.engines.types import Language, LLMReq, STTChunk, STTReq, TTSReq

__all__ = [
    "CHARACTER_MS",
    "EventLog",
    "FakeCaptionStream",
    "FakeCaptioner",
    "FakeLanguageModel",
    "FakeRecognizer",
    "FakeSynthesizer",
    "FakeTurnDetector",
    "FakeVad",
    "LetterSignal",
    "LoudspeakerSim",
    "fake_engines",
    "noise",
    "play",
    "said",
    "silence",
]

CHARACTER_MS = 160
_CHARACTER = CHARACTER_MS * ASR_RATE // 1000
_BASE = 2000
_NOISE = 9000
_VOICED = 1000


def said(text: str) -> Pcm:
    """``text`` spoken at 16 kHz, a character each `CHARACTER_MS`."""
    pcm = np.empty(len(text) * _CHARACTER, dtype=np.int16)
    for i, character in enumerate(text):
        high, low = divmod(ord(character), 256)
        letter = pcm[i * _CHARACTER : (i + 1) * _CHARACTER]
        letter[::2], letter[1::2] = _BASE + high, _BASE + low
    return pcm


def silence(ms: float) -> Pcm:
    """Silence at 16 kHz."""
    return np.zeros(int(ms) * ASR_RATE // 1000, dtype=np.int16)


def noise(ms: float) -> Pcm:
    """A sound without words (a cough) at 16 kHz."""
    return np.full(int(ms) * ASR_RATE // 1000, _NOISE, dtype=np.int16)


class LetterSignal:
    """Reads what was `said`; holds one letter at a time, so that it may listen for hours.

    Attributes:
        text: Everything read so far.
    """

    def __init__(self) -> None:
        self.text = ""
        self._letter = 0
        self._run = 0

    def hear(self, pcm: Pcm) -> str:
        """Go on with ``pcm`` (an even number of samples); everything read so far."""
        pairs = pcm[: len(pcm) - len(pcm) % 2].reshape(-1, 2).astype(np.int32) - _BASE
        codes = np.where((pairs[:, 0] < 0) | (pairs[:, 0] > 255), 0, pairs[:, 0] * 256 + pairs[:, 1])
        edges = np.flatnonzero(np.diff(codes)) + 1
        starts = [0, *edges.tolist()]
        for start, end in zip(starts, [*edges.tolist(), len(codes)], strict=True):
            if end == start:
                continue
            if int(codes[start]) != self._letter:
                self._close()
                self._letter = int(codes[start])
            self._run += 2 * (end - start)
            if not self._letter:
                self._run = 0
        return self.text + self._read()

    def _read(self) -> str:
        return chr(self._letter) * round(self._run / _CHARACTER) if self._letter else ""

    def _close(self) -> None:
        self.text += self._read()
        self._letter = self._run = 0


class FakeVad:
    """Voiced is what is loud; ``heard`` counts frames."""

    frame_samples = 512

    def __init__(self) -> None:
        self.heard = 0
        self.resets = 0

    def probability(self, frame: Pcm) -> float:
        assert frame.shape == (self.frame_samples,)
        self.heard += 1
        return 0.98 if int(frame[0]) > _VOICED or int(frame[-1]) > _VOICED else 0.02

    def reset(self) -> None:
        self.resets += 1


@dataclass
class FakeTurnDetector:
    """Attributes:
    answer: Completeness, or a function of the speech.
    delay_s: How long it thinks.
    failure: Raised instead.
    """

    answer: float | Callable[[Pcm], float] = 0.9
    delay_s: float = 0.06
    failure: Exception | None = None
    asked: list[int] = field(default_factory=list)
    """Length in samples of each speech it was asked about."""

    async def completeness(self, speech: Pcm) -> float:
        self.asked.append(len(speech))
        await asyncio.sleep(self.delay_s)
        if self.failure is not None:
            raise self.failure
        return self.answer(speech) if callable(self.answer) else self.answer


@dataclass
class FakeRecognizer:
    """Attributes:
    text: What is understood; None: what was really `said` at 16 kHz.
    delay_s: How long recognition takes, plus ``rtf`` times the length of the audio.
    failure: Raised instead.
    hangs: Never answers.
    language: Of every chunk.
    """

    text: str | Callable[[Pcm], str] | None = None
    delay_s: float = 0.3
    rtf: float = 0.0
    failure: Exception | None = None
    hangs: bool = False
    language: Language | None = "zh"
    requests: list[tuple[STTReq, int]] = field(default_factory=list)
    """Each request with the length of its audio in samples."""
    finished: list[str] = field(default_factory=list)
    """What recognition gave, where it was not cancelled."""

    async def transcribe(self, pcm: Pcm, req: STTReq) -> STTChunk:
        self.requests.append((req, len(pcm)))
        await asyncio.sleep(self.delay_s + self.rtf * len(pcm) / ASR_RATE)
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        text = self.text(pcm) if callable(self.text) else self.text
        if text is None:
            text = LetterSignal().hear(pcm)
        self.finished.append(text)
        return STTChunk(
            text=text,
            is_final=True,
            language=self.language if text else None,
            end_ms=len(pcm) * 1000.0 / ASR_RATE,
        )


class FakeCaptionStream:
    """Reads `LetterSignal` as they come."""

    def __init__(self, captioner: "FakeCaptioner") -> None:
        self._captioner = captioner
        self._letters = LetterSignal()
        self._last = ""
        self.closed = False

    async def push(self, pcm: Pcm) -> STTChunk | None:
        assert not self.closed
        if self._captioner.delay_s:
            await asyncio.sleep(self._captioner.delay_s)
        if self._captioner.failure is not None:
            raise self._captioner.failure
        text = self._letters.hear(pcm)
        if text == self._last:
            return None
        self._last = text
        return STTChunk(text=text, is_final=False)

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._captioner.closed += 1


@dataclass
class FakeCaptioner:
    """Attributes:
    delay_s: How long each push takes.
    failure: Raised by each push instead.
    """

    delay_s: float = 0.02
    failure: Exception | None = None
    opened: int = 0
    closed: int = 0

    def open(self, language: Language) -> FakeCaptionStream:
        self.opened += 1
        return FakeCaptionStream(self)


@dataclass
class FakeLanguageModel:
    """Attributes:
    reply: The whole reply, or a function of the request; a request's prefix is not written again.
    first_token_s: How long before the first token of each request.
    token_s: … and before each later one.
    token: Characters per token.
    hangs_after: Tokens of a request after which nothing more comes; None: it never hangs.
    failure: Raised once ``fails_after`` tokens of a request are written.
    """

    reply: str | Callable[[LLMReq], str] = "好的。今天天氣很好，適合出門走走。"
    first_token_s: float = 0.2
    token_s: float = 0.05
    token: int = 2
    shares_cores: bool = True
    hangs_after: int | None = None
    failure: Exception | None = None
    fails_after: int = 0
    requests: list[LLMReq] = field(default_factory=list)
    warmed: list[LLMReq] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    """Streams that ended or were closed."""

    async def stream(self, req: LLMReq) -> AsyncIterator[str]:
        self.requests.append(req)
        self.opened += 1
        try:
            whole = self.reply(req) if callable(self.reply) else self.reply
            rest = whole[len(req.prefix) :]
            tokens = [rest[i : i + self.token] for i in range(0, len(rest), self.token)][: req.max_tokens]
            for number, token in enumerate([*tokens, ""]):
                if self.hangs_after == number:
                    await asyncio.Event().wait()
                if self.failure is not None and number >= self.fails_after:
                    raise self.failure
                delay_s = self.token_s if number else self.first_token_s
                if delay_s:
                    await asyncio.sleep(delay_s)
                if token:
                    yield token
        finally:
            self.closed += 1

    async def warm(self, req: LLMReq) -> None:
        self.warmed.append(req)
        await asyncio.sleep(0)


@dataclass
class FakeSynthesizer:
    """Attributes:
    delay_s: How long synthesis takes before the first piece, plus ``rtf`` times the audio's length.
    pieces: Pieces a clause comes in, evenly long, ``piece_delay_s`` apart.
    failure: Raised instead, if given (a function may choose by the request).
    hangs: Never answers.
    """

    sample_rate: int = 24_000
    voices: Sequence[str] = ("fake_one", "fake_two")
    character_ms: float = 200.0
    delay_s: float = 0.3
    rtf: float = 0.0
    pieces: int = 1
    piece_delay_s: float = 0.0
    failure: Exception | Callable[[TTSReq], Exception | None] | None = None
    hangs: bool = False
    requests: list[TTSReq] = field(default_factory=list)
    closed: int = 0

    def audio(self, text: str) -> Pcm:
        """What ``text`` sounds like: no two samples that follow each other are alike."""
        samples = max(1, round(len(text) * self.character_ms * self.sample_rate / 1000.0))
        seed = sum(map(ord, text))
        return ((np.arange(samples) * 7 + seed) % 20011 - 10000).astype(np.int16)

    async def stream(self, req: TTSReq) -> AsyncIterator[Pcm]:
        self.requests.append(req)
        try:
            pcm = self.audio(req.text)
            if self.delay_s or self.rtf:
                await asyncio.sleep(self.delay_s + self.rtf * len(pcm) / self.sample_rate)
            if self.hangs:
                await asyncio.Event().wait()
            failure = self.failure(req) if callable(self.failure) else self.failure
            if failure is not None:
                raise failure
            for number, piece in enumerate(np.array_split(pcm, self.pieces)):
                if number and self.piece_delay_s:
                    await asyncio.sleep(self.piece_delay_s)
                yield piece
        finally:
            self.closed += 1


def fake_engines(**replaced: Any) -> Engines:
    """Engines made of fakes, without turn detector; any of them replaced by keyword."""
    parts: dict[str, Any] = {
        "vad": FakeVad,
        "recognizer": FakeRecognizer(),
        "language_model": FakeLanguageModel(),
        "synthesizer": FakeSynthesizer(),
        "captioner": FakeCaptioner(),
    }
    return Engines(**{**parts, **replaced})


E = TypeVar("E")


class EventLog:
    """An observer that remembers.

    Attributes:
        events: Everything, in order.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """All events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def one(self, kind: type[E]) -> E:
        """The only event of its kind."""
        (event,) = self.of(kind)
        return event

    def names(self, *, turn: int | None = None, skip: Sequence[type[Any]] = (SpeechAudio,)) -> list[str]:
        """Names of the events, of one turn or all; the same one many times in a row counts once."""
        names: list[str] = []
        for event in self.events:
            name = type(event).__name__
            if not isinstance(event, tuple(skip)) and turn in (None, event.turn) and name not in names[-1:]:
                names.append(name)
        return names

    def lines(self, start: float) -> list[str]:
        """One line for each event but `SpeechAudio`, times in seconds since ``start``: for snapshots."""
        return [_line(event, start) for event in self.events if not isinstance(event, SpeechAudio)]


def _line(event: Any, start: float) -> str:
    parts = [f"{event.at - start:7.3f}", type(event).__name__, f"turn={event.turn}"]
    for item in fields(event):
        value = getattr(event, item.name)
        if item.name in {"turn", "at"}:
            continue
        if item.name == "last_voiced_at":
            value = f"{value - start:.3f}"
        elif item.name == "timing":
            value = " ".join(_number(f.name, getattr(value, f.name)) for f in fields(value))
            parts.append(value)
            continue
        elif item.name == "pcm":
            value = f"{len(value)} samples"
        elif isinstance(value, float):
            value = f"{value:.0f}"
        parts.append(f"{item.name}={value}")
    return " ".join(parts)


def _number(name: str, value: float | None) -> str:
    if value is None:
        return f"{name}=-"
    return f"{name}={value:.2f}" if name.endswith("_s") else f"{name}={value:.0f}"


class LoudspeakerSim(Protocol):
    """What can be spoken to."""

    def push_audio(self, pcm: Pcm) -> None: ...


async def play(conversation: LoudspeakerSim, *sounds: Pcm, packet_ms: int = 20) -> None:
    """Say ``sounds`` into ``conversation`` in real time, a packet each ``packet_ms``."""
    pcm = np.concatenate(sounds)
    size = packet_ms * ASR_RATE // 1000
    for start in range(0, len(pcm), size):
        packet = pcm[start : start + size]
        await asyncio.sleep(len(packet) / ASR_RATE)
        conversation.push_audio(packet)
