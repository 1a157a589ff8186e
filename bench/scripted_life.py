"""Scripted life of a server, to be killed: talk, enrol, train, analyse, delete, all on the real store.

    python -m bench.scripted_life HOME JOURNAL NUMBER SEED

The engines are fakes; store, jobs, voices, analysis and the training subprocess work as usual, except for
what they compute. Everything confirmed as safe is written to the journal at once, one line each.
"""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.analysis.service import open_analysis
from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import ASR_RATE, Pcm, from_float
from kuaimei.dialogue.events import (
    ClauseReady,
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyStarted,
    ReplyText,
    SpeechAudio,
    SpeechStarted,
    TurnEnded,
    UserText,
)
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import STTChunk, STTReq, TTSReq
from kuaimei.errors import KuaimeiError, NotFound
from kuaimei.rendering.broadcast import Announcements
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.rendering.renderer import HqEngine, Renderer, RenderingCounts
from kuaimei.settings import Settings, VoiceSettings
from kuaimei.store import Recorder, Store, StoredTranscript, UtteranceRow, open_store
from kuaimei.store.analyses import ANALYSE_JOB
from kuaimei.store.jobs import Job
from kuaimei.store.renderings import HQ_JOB
from kuaimei.system.supervision import Supervisor
from kuaimei.voices.context import VoiceContext, speaker_encoder
from kuaimei.voices.enrolment.pipeline import ReferenceExaminer
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.library import VoiceLibrary, open_library
from kuaimei.voices.training.environment.background_install import LearningEnvironment
from kuaimei.voices.types import Consent

__all__ = ["FRAME", "REPLY_RATE", "Journal", "open_life", "settings_of", "sound_of", "working"]

FRAME: Final = 512
REPLY_RATE: Final = 24_000
_OWNER: Final = "local"
_SAID: Final = "今天天氣很好我們去散步"
_ANSWERED: Final = "好的，我們一起去公園走走。"
_CONSENT: Final = Consent(speaker="王美美", statement="可以", at=datetime(2026, 3, 1, tzinfo=UTC))
_CLOSED_LATER_S: Final = 20.0


def settings_of(home: Path) -> Settings:
    """Return settings that store and process everything; a fake process trains the voices."""
    worker = home / "worker" / "python"
    voices = VoiceSettings(python=str(worker), learn="style")
    return Settings(home=home, voices=voices)


def sound_of(session: str, turn: int, speaker: str, samples: int) -> Pcm:
    """Return the audio of an utterance: voiced, and unique, so that a misplaced segment is found.

    Args:
        session: Id of the session.
        turn: Number of the turn.
        speaker: ``user`` or ``assistant``.
        samples: Number of samples.
    """
    generator = np.random.default_rng(abs(hash_of(f"{session}/{turn}/{speaker}")))
    time = np.arange(samples) / ASR_RATE
    buzz = sum(np.sin(2 * np.pi * 140.0 * k * time) / k for k in range(1, 8))
    return from_float(0.1 * np.asarray(buzz) + 0.02 * generator.standard_normal(samples))


def hash_of(text: str) -> int:
    """Return a hash that is the same in every process."""
    return int.from_bytes(text.encode()[-8:], "big") ^ sum(n * b for n, b in enumerate(text.encode(), 1))


class Journal:
    """Log of what was confirmed; a killed process loses none of it.

    Args:
        path: File to append to.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, *words: object) -> None:
        """Append one line."""
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())

    @staticmethod
    def read(path: Path) -> Iterator[list[str]]:
        """Yield the complete lines, split into words."""
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield line.split()


class _LoudVad:
    """VAD by loudness."""

    frame_samples = FRAME

    def probability(self, frame: Pcm) -> float:
        return 0.95 if float(np.abs(frame.astype(np.float32)).mean()) > 300 else 0.05

    def reset(self) -> None:
        """Do nothing: there is no state."""


class _Recognizer:
    """Recognizer that always returns the same text."""

    async def transcribe(self, pcm: Pcm, req: STTReq) -> STTChunk:
        await asyncio.sleep(0.01)
        return STTChunk(text=_SAID, language="zh", is_final=True)


@dataclass
class _Bank:
    """Synthesizer that supports trained voices and hums."""

    sample_rate: int = REPLY_RATE
    learned: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stock: Mapping[str, NDArray[np.float32]] = {
            name: np.zeros((510, 256), np.float32) for name in ("zf_one", "zm_two")
        }

    @property
    def voices(self) -> Sequence[str]:
        return (*self.stock, *self.learned)

    def put_voice(self, voice_id: str, style: NDArray[np.float32]) -> None:
        self.learned[voice_id] = style

    def drop_voice(self, voice_id: str) -> None:
        self.learned.pop(voice_id, None)

    def tokens(self, text: str) -> tuple[int, ...]:
        return tuple(ord(char) % 177 + 1 for char in text)

    async def stream(self, req: TTSReq) -> AsyncIterator[Pcm]:
        await asyncio.sleep(0.01)
        yield sound_of("hum", len(req.text), "tts", 1200 * len(req.text))


class _Room(VoiceContext):
    """Voice context that pretends that the encoders are installed."""

    def training_encoders(self) -> dict[str, Path]:
        return {name: self.settings.home / name for name in ("ge2e", "campplus")}


_LEARNER: Final = """#!{python}
import json, sys, time
from pathlib import Path
import numpy as np
folder = Path(sys.argv[-1])
job = json.loads((folder / "job.json").read_text())
for step in range(1, 5):
    time.sleep(0.05)
    (folder / "checkpoint").write_text(str(step))
    news = {{"event": "progress", "fraction": step / 5, "eta_s": 1, "similarity": {{"campplus": 0.5}}}}
    print(json.dumps(news), flush=True)
np.save(folder / "style.out.npy", np.load(folder / job["style"]) + 1.0)
done = {{"event": "done", "style": "style.out.npy", "decoder": None, "similarity": {{}}}}
print(json.dumps(done), flush=True)
"""


def _install_learner(home: Path) -> None:
    path = home / "worker" / "python"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_LEARNER.format(python=sys.executable))
    path.chmod(0o700)
    (home / "fp32.onnx").touch()


@dataclass(frozen=True, slots=True)
class _Opened:
    store: Store
    library: VoiceLibrary
    tasks: Supervisor


@asynccontextmanager
async def open_life(home: Path) -> AsyncIterator[_Opened]:
    """Open store and voices, with all background tasks."""
    await asyncio.to_thread(_install_learner, home)
    settings = settings_of(home)
    cores, idle_monitor = Scheduler("cores", 2), IdleMonitor(settle_s=0.01)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        store = await enter(open_store(settings))
        encoder = partial(speaker_encoder, settings)
        room = _Room(
            settings=settings,
            store=store,
            examiner=ReferenceExaminer(_LoudVad, _Recognizer(), encoder, cores),
            synthesizer=_Bank(),
            idle_monitor=idle_monitor,
            cores=cores,
            environment=LearningEnvironment(settings, idle_monitor),
            weights=home / "fp32.onnx",
        )
        library = await enter(open_library(room))
        analysis = await enter(open_analysis(settings, store, _LoudVad, cores, idle_monitor))
        model_cache = await enter(ModelCache(1000.0))
        given = store.renderings, _engine_for, model_cache, idle_monitor, Announcements(), RenderingCounts()
        jobs: dict[str, Job] = {HQ_JOB: Renderer(*given), ANALYSE_JOB: analysis.analyst, **library.jobs}
        tasks = await enter(Supervisor())
        tasks.start("jobs", partial(store.run_jobs, jobs, transcribe=_transcribe, apart=tuple(jobs)))
        tasks.start("keeping", store.maintenance.run)
        tasks.start("voices", library.maintenance.run)
        tasks.start("analysis", analysis.run)
        yield _Opened(store, library, tasks)


async def _transcribe(utterance: UtteranceRow, pieces: AsyncIterator[Pcm]) -> StoredTranscript:
    async for _ in pieces:
        await asyncio.sleep(0)
    return StoredTranscript(_SAID, "zh")


async def _engine_for(voice: str) -> HqEngine:
    @asynccontextmanager
    async def opened() -> AsyncIterator[_Bank]:
        yield _Bank()

    return HqEngine("light", "light 1", 10.0, opened, lambda found: "zf_one")


async def working(home: Path, patience_s: float) -> dict[str, int]:
    """Work until all jobs are done; return the jobs left after ``patience_s``."""
    async with open_life(home) as opened:
        counts: dict[str, int] = {}
        try:
            async with asyncio.timeout(patience_s):
                while counts := await opened.store._jobs.counts():  # noqa: ASYNC110 - no notification
                    await asyncio.sleep(0.2)
        except TimeoutError:
            return counts
    return {}


class _Life:
    """One run of the script.

    Args:
        opened: Store, voices and tasks.
        journal: Receives what was confirmed.
        number: Number of the run.
        chance: Random choices.
    """

    def __init__(self, opened: _Opened, journal: Journal, number: int, chance: random.Random) -> None:
        self._opened = opened
        self._store = opened.store
        self._journal = journal
        self._number = number
        self._chance = chance

    async def go_on(self) -> None:
        """Run forever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._talk_for_ever("a"))
            group.create_task(self._talk_for_ever("b"))
            group.create_task(self._care_for_voices())
            group.create_task(self._delete_now_and_again())

    async def _talk_for_ever(self, who: str) -> None:
        count = 0
        while True:
            count += 1
            session = f"sess_{self._number}{who}{count}"
            voices = [voice.id for voice in await self._opened.library.voices(_OWNER)]
            voice = self._chance.choice([*voices, "zf_one"])
            recorder = self._store.recorder(session, voice=voice)
            for turn in range(1, self._chance.randint(2, 4)):
                await self._take_turn(recorder, session, turn)
            await recorder.close()
            self._journal.note("closed", session)

    async def _take_turn(self, recorder: Recorder, session: str, turn: int) -> None:
        loop = asyncio.get_running_loop()
        if self._chance.random() < 0.2:
            recorder(UserText(turn, loop.time(), _SAID))
        else:
            recorder(SpeechStarted(turn, loop.time(), 0.0))
            pcm = sound_of(session, turn, "user", self._chance.randint(20, 60) * FRAME)
            for start in range(0, len(pcm), FRAME):
                recorder(SpeechAudio(turn, loop.time(), pcm[start : start + FRAME]))
                await self._promise("user", session, turn, start + FRAME)
            recorder(TurnEnded(turn, loop.time(), loop.time(), len(pcm) / 16.0, "silence"))
            if self._chance.random() < 0.7:  # else a job has to transcribe it
                recorder(FinalTranscript(turn, loop.time(), _SAID, "zh"))
        reply = f"reply_{turn}"
        recorder(ReplyStarted(turn, loop.time(), reply))
        recorder(ReplyText(turn, loop.time(), reply, _ANSWERED))
        recorder(ClauseReady(turn, loop.time(), reply, 0, _ANSWERED, 0.0, 10.0))
        pcm = sound_of(session, turn, "assistant", self._chance.randint(10, 30) * 1200)
        for start in range(0, len(pcm), 1200):
            at_ms = start * 1000.0 / REPLY_RATE
            recorder(ReplyAudio(turn, loop.time(), reply, pcm[start : start + 1200], REPLY_RATE, at_ms))
            await self._promise("assistant", session, turn, start + 1200)
        recorder(ReplyFinished(turn, loop.time(), reply, _ANSWERED, len(pcm) * 1000.0 / REPLY_RATE))

    async def _promise(self, speaker: str, session: str, turn: int, samples: int) -> None:
        """Record samples handed to the kernel, which killing this process cannot lose."""
        await self._store._writer.barrier()
        self._journal.note("received", session, turn, speaker, samples)

    async def _care_for_voices(self) -> None:
        count = 0
        while True:
            count += 1
            buzz = sound_of("reference", self._number * 100 + count, "x", 4 * RATE)
            pause = np.zeros(RATE // 2, np.int16)
            data = await asyncio.to_thread(encode, np.concatenate([pause, buzz, pause]), RATE, "flac")
            try:
                voice = await self._opened.library.add(
                    data, name=f"voice {count}", consent=_CONSENT, owner=_OWNER, strict=False
                )
            except KuaimeiError as error:
                self._journal.note("refused", type(error).__name__)
                await asyncio.sleep(0.5)
                continue
            self._journal.note("enrolled", voice.id)
            await asyncio.sleep(self._chance.uniform(0.2, 1.5))
            kept = [one.id for one in await self._opened.library.voices(_OWNER)]
            if len(kept) > 2:
                gone = self._chance.choice(kept)
                self._journal.note("deleting", "voice", gone)
                if await self._opened.library.delete(gone, _OWNER):
                    self._journal.note("deleted", "voice", gone)

    async def _delete_now_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(0.05, 0.6))
            kept = [session.id for session in await self._store.sessions(50)]
            # Sessions of this run are still in use; deleting them is not tested here.
            kept = [one for one in kept if not one.startswith(f"sess_{self._number}")]
            if not kept:
                continue
            session = self._chance.choice(kept)
            said = await self._store.utterances(session)
            try:
                if said and self._chance.random() < 0.5:
                    gone = self._chance.choice(said)
                    self._journal.note("deleting", "utterance", gone.id, session, gone.turn, gone.speaker)
                    if await self._store.delete_utterance(gone.id):
                        self._journal.note("deleted", "utterance", gone.id, session, gone.turn, gone.speaker)
                elif len(kept) > 3:
                    self._journal.note("deleting", "session", session)
                    if await self._store.delete_session(session):
                        self._journal.note("deleted", "session", session)
            except NotFound:
                continue


async def live(home: Path, journal: Journal, number: int, seed: int) -> None:
    """Run until this process is killed.

    Args:
        home: Data folder.
        journal: Receives what was confirmed.
        number: Number of the run.
        seed: Seed of the random choices.
    """
    async with open_life(home) as opened:
        await opened.store.flush(_CLOSED_LATER_S)
        statistics = await opened.store.statistics()
        journal.note("started", number, statistics.unsaved, statistics.broken)
        print("ready", flush=True)
        await _Life(opened, journal, number, random.Random(f"{seed} {number}")).go_on()


def main() -> None:
    """Run with the arguments of the command line."""
    home, journal, number, seed = sys.argv[1:]
    asyncio.run(live(Path(home), Journal(Path(journal)), int(number), int(seed)))


if __name__ == "__main__":
    main()
