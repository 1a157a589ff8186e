"""Training of voices by the product's own path, in a temporary store used for measurements."""

import asyncio
import io
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import soundfile  # type: ignore[import-untyped]

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.protocols import Recognizer, Synthesizer, VoiceActivityDetector
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.types import Language
from kuaimei.errors import EngineError, NotFound
from kuaimei.evaluation.training_cache import CachedTraining, TrainingCache
from kuaimei.settings import RenderingSettings, Settings, StoreSettings
from kuaimei.store import open_store, transcribe_with
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.store.voices import DECODER, STYLE
from kuaimei.voices.context import VoiceContext, speaker_encoder
from kuaimei.voices.enrolment.pipeline import ReferenceExaminer
from kuaimei.voices.enrolment.speech_regions import RATE
from kuaimei.voices.library import VoiceLibrary, open_library
from kuaimei.voices.serialization import read_style
from kuaimei.voices.training.environment.background_install import LearningEnvironment
from kuaimei.voices.training.environment.paths import interpreter
from kuaimei.voices.types import Consent, Step, Voice

__all__ = ["VoiceTrainer", "open_voice_trainer"]

_OWNER: Final = "local"
_LOOK_S: Final = 1.0
_STATEMENT: Final = "kept for the duration of a measurement"
"""Consent statement: the temporary store is deleted with the voices in it."""

Note = Callable[[str], None]


class VoiceTrainer:
    """Trains voices as the server does, one after the other.

    Args:
        library: Library on a temporary store.
        kept: Cache of results, searched first.
        note: Receives progress messages.
    """

    def __init__(self, library: VoiceLibrary, kept: TrainingCache, note: Note) -> None:
        self._library = library
        self._kept = kept
        self._note = note

    @property
    def unavailable_reason(self) -> str:
        """Why training is unavailable, and what to do; empty if it is available."""
        context = self._library.context
        return context.unavailable_reason() or (
            "" if context.environment.python() else context.environment.state.detail
        )

    async def fit(
        self, name: str, pcm: Pcm, transcript: str, steps: Sequence[Step]
    ) -> AsyncGenerator[tuple[Step, CachedTraining], None]:
        """Yield the result of each of ``steps`` for ``pcm``, in order.

        Args:
            name: Name of the speaker.
            pcm: Int16 samples at `kuaimei.voices.enrolment.speech_regions.RATE`.
            transcript: What is said in ``pcm``; empty: unknown.
            steps: Steps to train.

        Raises:
            KuaimeiError: If the voice cannot be prepared, or a step cannot be trained.
        """
        key = self._kept.key(name, pcm, transcript)
        voice: Voice | None = None
        try:
            for step in steps:
                found = await asyncio.to_thread(self._kept.find, key, step)
                if found is None:
                    if voice is None:  # also if only earlier steps were cached: they are trained again
                        voice = await self._enrol(name, pcm, transcript)
                    found = await self._learn(key, voice, step)
                else:
                    self._note(f"{name}: {step} was trained before ({found.took_s:.0f} s)")
                yield step, found
        finally:
            if voice is not None:
                with suppress(NotFound):
                    await self._library.delete(voice.id, _OWNER)

    async def _enrol(self, name: str, pcm: Pcm, transcript: str) -> Voice:
        file = io.BytesIO()
        await asyncio.to_thread(partial(soundfile.write, file, pcm, RATE, "PCM_16", format="WAV"))
        consent = Consent(speaker=name, statement=_STATEMENT, at=datetime.now(UTC))
        voice = await self._library.add(
            file.getvalue(), name=name, consent=consent, owner=_OWNER, transcript=transcript, strict=False
        )
        for check in voice.checks:
            if check.verdict != "ok":
                self._note(f"{name}: {check.advice['en']}")
        while voice.state == "preparing":
            await asyncio.sleep(_LOOK_S)
            voice = await self._library.voice(voice.id, _OWNER)
        if voice.state == "failed":
            raise EngineError(f"{name}: {voice.error}")
        return voice

    async def _learn(self, key: str, voice: Voice, step: Step) -> CachedTraining:
        started = time.monotonic()
        if step != "predicted":
            voice = await self._library.train(voice.id, _OWNER, step)
            told = -1
            while voice.learning.state in ("waiting", "running", "paused"):
                await asyncio.sleep(_LOOK_S)
                voice = await self._library.voice(voice.id, _OWNER)
                learning = voice.learning
                if (tenth := int(10 * learning.progress)) != told:
                    told = tenth
                    like = "" if learning.similarity is None else f", similarity {learning.similarity:.3f}"
                    self._note(f"{voice.name}: {learning.step} {100 * learning.progress:.0f} %{like}")
            if voice.learning.state != "done":
                raise EngineError(f"{voice.name}: {step} was not trained: {voice.learning.error}")
        took_s = 0.0 if step == "predicted" else time.monotonic() - started
        shelf = self._library.context.store.voices
        style = read_style(await shelf.file(voice.id, STYLE))
        decoder = None
        if step == "decoder":
            decoder = await shelf.file(voice.id, DECODER)
        language: Language = voice.language or "zh"
        keep = partial(self._kept.keep, language=language, took_s=took_s)
        return await asyncio.to_thread(keep, key, step, style, decoder)


@asynccontextmanager
async def _deleted_afterwards(server: EmbeddedPostgres) -> AsyncIterator[None]:
    """Delete the database at the end: as root it lies outside the data folder."""
    try:
        yield
    finally:
        await asyncio.to_thread(server.delete)


@asynccontextmanager
async def open_voice_trainer(
    settings: Settings,
    engine_context: EngineContext,
    synthesizer: Synthesizer,
    recognizer: Recognizer,
    vad: Callable[[], VoiceActivityDetector],
    *,
    home: Path,
    weights: Path | None,
    kept: TrainingCache,
    note: Note,
) -> AsyncIterator[VoiceTrainer]:
    """Open a store in ``home`` with a library on it, and run its jobs.

    Args:
        settings: Settings of the user.
        engine_context: Provides the scheduler of the cores.
        synthesizer: Synthesizer to register the voices with.
        recognizer: Transcribes the references.
        vad: Factory of voice activity detectors.
        home: Temporary data folder, apart from the user's own voices and conversations.
        weights: Kokoro's fp32 network.
        kept: Cache of results.
        note: Receives progress messages.

    Raises:
        KuaimeiError: If the store cannot be opened.
    """
    python = interpreter(settings)
    own = settings.model_copy(
        update={
            "home": home,
            "store": StoreSettings(database_dir=settings.store.database_dir),
            "rendering": RenderingSettings(hq="none"),
            "voices": settings.voices.model_copy(
                update={
                    "learn": "none",
                    "retention_days": 0.0,
                    "python": "" if python is None else str(python),
                }
            ),
        }
    )
    own.weights_dir.symlink_to(settings.weights_dir, target_is_directory=True)
    server = EmbeddedPostgres(home / "postgres", own.store.database_dir)
    async with _deleted_afterwards(server), open_store(own, server) as store:
        idle_monitor = IdleMonitor()
        context = VoiceContext(
            settings=own,
            store=store,
            examiner=ReferenceExaminer(vad, recognizer, partial(speaker_encoder, own), engine_context.cores),
            synthesizer=synthesizer,
            idle_monitor=idle_monitor,
            cores=engine_context.cores,
            environment=LearningEnvironment(own, idle_monitor),
            weights=weights,
        )
        async with open_library(context) as library:
            transcriber = transcribe_with(recognizer, language=None, hotwords=())
            running = store.run_jobs(library.jobs, transcribe=transcriber, apart=library.dedicated_jobs)
            jobs = asyncio.ensure_future(running)
            try:
                yield VoiceTrainer(library, kept, note)
            finally:
                jobs.cancel()
                await asyncio.gather(jobs, return_exceptions=True)
