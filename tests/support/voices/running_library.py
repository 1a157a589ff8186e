"""A library of voices with a real store and fake engines; who speaks is made of buzzes and pauses."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import Pcm, from_float
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.scheduling import Scheduler
from kuaimei.settings import Settings, VoiceSettings
from kuaimei.store import Store, StoredTranscript, UtteranceRow, open_store
from kuaimei.system.supervision import Supervisor
from kuaimei.voices.context import VoiceContext, speaker_encoder
from kuaimei.voices.enrolment.pipeline import ReferenceExaminer
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.library import VoiceLibrary, open_library
from kuaimei.voices.training.environment import background_install
from kuaimei.voices.training.environment.background_install import LearningEnvironment
from kuaimei.voices.training.environment.paths import places
from kuaimei.voices.training.environment.process import Making
from kuaimei.voices.types import Consent, Voice
from tests.support.fakes import FakeRecognizer, FakeSynthesizer

__all__ = [
    "CONSENT",
    "FakeReferenceBank",
    "FakeVoiceBank",
    "LoudVad",
    "RunningLibrary",
    "audio",
    "eventually",
    "half_made",
    "install_worker",
    "kept",
    "living",
    "order",
    "speech",
]

CONSENT = Consent(speaker="王美美", statement="可以", at=datetime(2026, 3, 1, tzinfo=UTC))
TEXT = "今天天氣很好我們去散步"


class LoudVad:
    """Voiced is what is loud."""

    frame_samples = 512

    def probability(self, frame: Pcm) -> float:
        return 0.9 if float(np.abs(frame.astype(np.float32)).mean()) > 300 else 0.1

    def reset(self) -> None:
        pass


@dataclass
class FakeVoiceBank(FakeSynthesizer):
    """A synthesiser that learns voices."""

    learned: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stock = {name: np.zeros((510, 256), np.float32) for name in ("zf_one", "zm_two")}
        self._name()

    def put_voice(self, voice_id: str, style: NDArray[np.float32]) -> None:
        self.learned[voice_id] = style
        self._name()

    def drop_voice(self, voice_id: str) -> None:
        self.learned.pop(voice_id, None)
        self._name()

    def tokens(self, text: str) -> tuple[int, ...]:
        return tuple(ord(char) % 177 + 1 for char in text)

    def _name(self) -> None:
        self.voices = (*self.stock, *self.learned)


@dataclass
class FakeReferenceBank(FakeSynthesizer):
    """A synthesiser that speaks as in a recording."""

    references: dict[str, tuple[bytes, str]] = field(default_factory=dict)

    def put_reference(self, voice_id: str, audio: bytes, transcript: str) -> None:
        self.references[voice_id] = audio, transcript

    def drop_voice(self, voice_id: str) -> None:
        self.references.pop(voice_id, None)


class FakeContext(VoiceContext):
    """As if the encoders were installed."""

    def training_encoders(self) -> dict[str, Path]:
        return {name: self.settings.home / name for name in ("ge2e", "campplus")}


def speech(*lengths_s: float, hz: float = 200.0, seed: int = 1) -> Pcm:
    """Buzzes of those lengths, half a second of hiss before, between and after them; at `RATE`."""
    generator = np.random.default_rng(seed)
    parts = [np.zeros(RATE // 2)]
    for length_s in lengths_s:
        time = np.arange(int(length_s * RATE)) / RATE
        phase = 2 * np.pi * hz * time + 0.5 * np.sin(2 * np.pi * 3 * time)
        buzz = sum(np.sin(k * phase) / k for k in range(1, 12)) * (1.2 + np.sin(2 * np.pi * 4 * time))
        parts += [0.08 * np.asarray(buzz), np.zeros(RATE // 2)]
    whole = np.concatenate(parts)
    return from_float(whole + 0.0005 * generator.standard_normal(len(whole)))


def audio(*lengths_s: float, **more: Any) -> bytes:
    """`speech` as a file."""
    return encode(speech(*lengths_s, **more), RATE, "flac")


@dataclass
class RunningLibrary:
    """A library, with what is behind it.

    Attributes:
        place: Where the worker lies.
    """

    store: Store
    library: VoiceLibrary
    bank: FakeVoiceBank
    recognizer: FakeRecognizer
    idle_monitor: IdleMonitor
    place: Path

    async def add(self, data: bytes | None = None, **more: Any) -> Voice:
        """A voice, ready to speak."""
        given: dict[str, Any] = {"name": "媽媽", "consent": CONSENT, "owner": "local", **more}
        added = await self.library.add(data or audio(2.0, 2.5, 3.0), **given)
        return await self.until(added.id, lambda voice: voice.state != "preparing")

    async def voice(self, voice: str) -> Voice:
        return await self.library.voice(voice, "local")

    async def until(self, voice: str, holds: Callable[[Voice], bool]) -> Voice:
        """The voice as soon as it is so."""
        found = await self.voice(voice)

        async def so() -> bool:
            nonlocal found
            found = await self.voice(voice)
            return holds(found)

        await eventually(so)
        return found

    def order(self, **steps: Sequence[Sequence[Any]]) -> None:
        """What the worker does from its next start on."""
        order(self.store_home, **steps)

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Of the worker, so far."""
        path = self.place / "runs"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def files(self) -> list[str]:
        """Everything of voices that lies on disk."""
        return kept(self.store_home)

    @property
    def store_home(self) -> Path:
        return self.library.context.settings.home


def order(home: Path, **steps: Sequence[Sequence[Any]]) -> None:
    """What the worker of the library kept in ``home`` does from its next start on."""
    new = home / "worker" / "orders.new"
    new.write_text(json.dumps(steps))
    new.replace(home / "worker" / "orders.json")  # it may be reading


def kept(home: Path) -> list[str]:
    """Everything of voices that lies on disk there."""
    places = [home / "recordings" / "voices", home / "learning"]
    return sorted(
        os.path.relpath(os.path.join(folder, name), home)
        for place in places
        for folder, folders, files in os.walk(place)  # also while something in there is being deleted
        for name in (*folders, *files)
    )


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when it holds; nothing tells us, for it happens in another process or the database."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def install_worker(place: Path) -> Path:
    """The worker as an executable file in ``place``."""
    place.mkdir(parents=True, exist_ok=True)
    path = place / "python"
    source = Path(__file__).with_name("worker.py").read_text()
    path.write_text(f"#!{sys.executable}\n{source}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    if not (place / "orders.json").exists():
        (place / "orders.json").write_text("{}")
    return path


async def _nothing(utterance: UtteranceRow, pieces: object) -> StoredTranscript:
    return StoredTranscript("")


@asynccontextmanager
async def living(
    settings: Settings,
    *,
    working: bool = True,
    installed: bool = True,
    copyist: FakeReferenceBank | None = None,
    **voices: Any,
) -> AsyncIterator[RunningLibrary]:
    """Open the library; ``working``: its jobs are done. Call it again to start anew in the same place."""
    place = settings.home / "worker"
    given: Mapping[str, Any] = {"python": str(install_worker(place)) if installed else "/nowhere", **voices}
    settings = settings.model_copy(update={"voices": VoiceSettings(**given)})
    settings.home.mkdir(parents=True, exist_ok=True)
    weights = settings.home / "fp32.onnx"
    weights.touch()
    bank, recognizer, idle_monitor = (
        FakeVoiceBank(delay_s=0.0),
        FakeRecognizer(text=TEXT, delay_s=0.0),
        IdleMonitor(settle_s=0.01),
    )
    scheduler = Scheduler("cores", 2)
    async with open_store(settings) as store:
        context = FakeContext(
            settings=settings,
            store=store,
            examiner=ReferenceExaminer(LoudVad, recognizer, partial(speaker_encoder, settings), scheduler),
            synthesizer=copyist or bank,
            idle_monitor=idle_monitor,
            cores=scheduler,
            environment=LearningEnvironment(settings, idle_monitor),
            weights=weights,
        )
        async with open_library(context) as library, Supervisor() as tasks:
            tasks.start("voices", library.maintenance.run)
            tasks.start("keeping", store.maintenance.run)
            jobs = store.run_jobs(library.jobs, transcribe=_nothing, apart=library.dedicated_jobs)
            task = asyncio.ensure_future(jobs) if working else None
            if task is None:
                jobs.close()
            try:
                yield RunningLibrary(store, library, bank, recognizer, idle_monitor, place)
            finally:
                if task is not None:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)


def half_made(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Have the environment for learning stop in the middle of being made.

    What is downloaded and installed is not the matter here.

    Returns:
        Set when it has begun; to be set for it to be finished.
    """
    begun, finish = asyncio.Event(), asyncio.Event()

    async def make(*given: Any) -> str:
        home, _, recipe, _, changed = given
        changed(Making(0.5, "unpacking the packages", 3))
        begun.set()
        await finish.wait()
        install_worker(places(home, "cpu", recipe).python.parent)
        return "done"

    monkeypatch.setattr(background_install, "run_making", make)
    return begun, finish
