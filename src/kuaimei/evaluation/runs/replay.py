"""Replay of recordings in real time into a conversation, with a report of each turn."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]

from kuaimei.audio.decode import decode
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import (
    Event,
    FinalTranscript,
    ReplyAudio,
    ReplyText,
    TurnFailed,
    TurnLatencies,
    TurnMetrics,
)
from kuaimei.runtime import Runtime, open_runtime
from kuaimei.settings import Settings
from kuaimei.store.ids import new_id

__all__ = ["TurnCollector", "TurnReport", "feed", "replay", "speak"]

_PACKET = ASR_RATE * 20 // 1000
"""Samples per packet: 20 ms, as browsers send them."""
_LEAD_S = 0.3
"""Silence before a recording, so that speech does not start with the very first sample."""
_TAIL_S = 3.0
"""Silence after a recording before it is given up as containing no speech."""


@dataclass(slots=True)
class TurnReport:
    """One turn as `kuaimei talk` reports it; milliseconds from the last voiced frame.

    Attributes:
        clip: Number of the recording it belongs to, from 1.
        gaps_s: Silence heard because a clause was not ready when the previous one ended.
    """

    file: str
    transcript: str = ""
    reply: str = ""
    endpoint_ms: float | None = None
    transcript_ms: float | None = None
    first_token_ms: float | None = None
    first_clause_ms: float | None = None
    first_audio_ms: float | None = None
    last_audio_ms: float | None = None
    reply_audio_s: float = 0.0
    errors: list[str] = field(default_factory=list)
    audio: list[tuple[float, Pcm]] = field(default_factory=list, repr=False)
    rate: int = 0
    clip: int = 0
    gaps_s: float = 0.0
    plays_until: float = 0.0

    def public(self) -> dict[str, object]:
        """Return the documented keys, and ``errors`` if there are any."""
        hidden = {"audio", "rate", "clip", "gaps_s", "plays_until", *(() if self.errors else ("errors",))}
        return {k: _rounded(v) for k, v in asdict(self).items() if k not in hidden}

    def fill(self, timing: TurnLatencies) -> None:
        """Copy the latencies of the turn."""
        for name in (
            "endpoint_ms",
            "transcript_ms",
            "first_token_ms",
            "first_clause_ms",
            "first_audio_ms",
            "last_audio_ms",
            "reply_audio_s",
        ):
            setattr(self, name, getattr(timing, name))


class TurnCollector:
    """Event observer that collects the results of each turn."""

    def __init__(self, told: Callable[[TurnReport], None] = lambda turn: None) -> None:
        self._told = told
        self._turns: dict[int, TurnReport] = {}
        self.file = ""
        self.clip = 0
        self.timed = 0

    def begin(self, file: str) -> None:
        """Assign the following turns to ``file``."""
        self.file = file
        self.clip += 1

    @property
    def turns(self) -> list[TurnReport]:
        """All turns so far, in order."""
        return [self._turns[number] for number in sorted(self._turns)]

    def __call__(self, event: Event) -> None:
        """Record one event."""
        match event:
            case FinalTranscript(text=text):
                self._turn(event.turn).transcript = text
            case ReplyText(text=text):
                self._turn(event.turn).reply += text
            case ReplyAudio(pcm=pcm, rate=rate, start_ms=start_ms):
                turn = self._turn(event.turn)
                turn.rate = rate
                turn.audio.append((start_ms, pcm))
                if turn.plays_until:
                    turn.gaps_s += max(0.0, event.at - turn.plays_until)
                turn.plays_until = max(turn.plays_until, event.at) + len(pcm) / rate
            case TurnFailed(stage=stage, message=message):
                self._turn(event.turn).errors.append(f"{stage}: {message}")
            case TurnMetrics(timing=timing):
                turn = self._turn(event.turn)
                turn.fill(timing)
                self.timed += 1
                self._told(turn)
            case _:
                pass

    def _turn(self, number: int) -> TurnReport:
        return self._turns.setdefault(number, TurnReport(self.file, clip=self.clip))


async def replay(
    settings: Settings,
    files: Sequence[Path],
    *,
    out: Path | None = None,
    keep: bool = False,
    told: Callable[[TurnReport], None] = lambda turn: None,
    progress: Callable[[str], None] = lambda line: None,
) -> list[TurnReport]:
    """Speak ``files`` into one conversation, each after the reply to the previous one has been played.

    Args:
        settings: Settings of the user.
        files: Recordings to speak.
        out: Folder for ``NAME.reply.wav`` of every recording.
        keep: Passed to `open_runtime`.
        told: Called with each finished turn.
        progress: Called with start-up messages.

    Raises:
        KuaimeiError: If a recording cannot be decoded or an engine cannot be opened.
    """
    clips = [(path, await decode(path, ASR_RATE)) for path in files]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    async with open_runtime(settings, keep=keep, progress=lambda name: progress(f"ready: {name}")) as runtime:
        return await speak(runtime, clips, out=out, told=told)


async def speak(
    runtime: Runtime,
    clips: Sequence[tuple[Path, Pcm]],
    *,
    out: Path | None = None,
    told: Callable[[TurnReport], None] = lambda turn: None,
    session: str = "",
) -> list[TurnReport]:
    """Replay decoded recordings (16 kHz) with an open runtime; see `replay`.

    Args:
        runtime: Open runtime.
        clips: Paths, for names in the reports, and int16 samples at 16 kHz.
        out: Folder for ``NAME.reply.wav`` of every recording.
        told: Called with each finished turn.
        session: Id of the session; empty: a new one.
    """
    rehearsal = TurnCollector(told)
    async with runtime.open_conversation(session or new_id("sess"), [rehearsal]) as conversation:
        for path, pcm in clips:
            rehearsal.begin(path.name)
            before = len(rehearsal.turns)
            await feed(conversation, rehearsal, pcm)
            if out is not None:
                _write(out / f"{path.stem}.reply.wav", rehearsal.turns[before:])
    return rehearsal.turns


async def feed(conversation: Conversation, rehearsal: TurnCollector, pcm: Pcm) -> None:
    """Speak ``pcm`` (16 kHz) in real time, then send silence until the reply has been played.

    Args:
        conversation: Conversation to speak into.
        rehearsal: Observer of the same conversation.
        pcm: Int16 samples at 16 kHz.
    """
    loop = asyncio.get_running_loop()
    lead = np.zeros(int(_LEAD_S * ASR_RATE), dtype=np.int16)
    speech = np.concatenate((lead, pcm))
    silence = np.zeros(_PACKET, dtype=np.int16)
    timed = rehearsal.timed
    done = asyncio.Event()

    async def wait() -> None:
        await asyncio.sleep(len(speech) / ASR_RATE + _TAIL_S)
        await conversation.wait_idle()
        done.set()

    waiting = asyncio.ensure_future(wait())
    begun, sent = loop.time(), 0
    try:
        while not done.is_set() or (rehearsal.timed == timed and sent < len(speech)):
            packet = speech[sent : sent + _PACKET] if sent < len(speech) else silence
            sent += len(packet)
            await asyncio.sleep(max(0.0, begun + sent / ASR_RATE - loop.time()))
            conversation.push_audio(packet)
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


def _write(path: Path, turns: Sequence[TurnReport]) -> None:
    """Write all replies to one recording as one file; audio repeated after a pause is kept once."""
    pieces = []
    for turn in turns:
        samples = np.zeros(0, dtype=np.int16)
        for start_ms, pcm in turn.audio:
            start = round(start_ms * turn.rate / 1000.0)
            samples = np.concatenate((samples[:start], pcm))
        pieces.append(samples)
    if pieces and turns[0].rate:
        soundfile.write(path, np.concatenate(pieces), turns[0].rate, subtype="PCM_16")


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
