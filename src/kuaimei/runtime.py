"""Composition root: opens the engines, the store and the services that the settings describe."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kuaimei.analysis.service import AnalysisService, open_analysis
from kuaimei.audio.pcm import Pcm
from kuaimei.audio.streams import collect_pcm
from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.events import Observer
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.dialogue.reply_options import ReplyOptions
from kuaimei.engines.asr import open_captioner, open_recognizer
from kuaimei.engines.import_lock import import_libraries
from kuaimei.engines.llm import open_language_model
from kuaimei.engines.protocols import Recognizer, Synthesizer, VoiceActivityDetector
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.turn import open_turn_detector
from kuaimei.engines.types import LLMReq, Message, TTSReq
from kuaimei.engines.vad import open_vad
from kuaimei.errors import KuaimeiError
from kuaimei.models.resolve import resolve, roles
from kuaimei.models.source import EngineSource, Role
from kuaimei.rendering.engine_selection import HqEngineSelector
from kuaimei.rendering.hq_tier import HqTier
from kuaimei.rendering.model_cache import ModelCache
from kuaimei.rendering.renderer import Renderer
from kuaimei.settings import Settings
from kuaimei.store import Store, open_store, transcribe_with
from kuaimei.store.analyses import ANALYSE_JOB
from kuaimei.store.jobs import Job
from kuaimei.store.postgres.startup import DatabaseStart, starting_database
from kuaimei.store.renderings import HQ_JOB
from kuaimei.store.utterance_record import LOCAL
from kuaimei.system.privacy import close_to_others, make_data_folder
from kuaimei.system.supervision import Supervisor
from kuaimei.text import clauses
from kuaimei.voices.context import BACKGROUND_TICKET, Speak, VoiceContext, speaker_encoder
from kuaimei.voices.enrolment.pipeline import ReferenceExaminer
from kuaimei.voices.library import VoiceLibrary, open_library
from kuaimei.voices.training.environment.background_install import LearningEnvironment

__all__ = [
    "Runtime",
    "StartupProgress",
    "build_voice_context",
    "expected_parts",
    "open_engine",
    "open_runtime",
    "open_voice_library",
    "sources",
    "voice_training_state",
]

_log = logging.getLogger(__name__)

T = TypeVar("T")

StartupProgress = Callable[[str], None]
"""Called with the name of each part that has become ready."""

_NONE = "none"
_OPTIONAL: tuple[Role, ...] = ("turn", "captions")
"""Roles that can be disabled with the setting ``none``."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything that a server or a command needs, open and warmed up.

    Attributes:
        settings: The settings that it was opened with.
        engines: The engines of the conversations.
        store: None if nothing is stored.
        loaded: Source of the engine of each role.
        schedulers: Queues of the engines, for metrics.
        idle_monitor: Detects when no conversation is active.
        hq: Second tier, which renders replies in high quality; None if disabled.
        voices: Cloned voices; None if nothing is stored.
        analysis: Analysis of how users speak; None if disabled.
        tasks: Supervisor of the background tasks.
    """

    settings: Settings
    engines: Engines
    store: Store | None
    loaded: tuple[EngineSource, ...]
    schedulers: tuple[Scheduler, ...]
    idle_monitor: IdleMonitor = field(default_factory=IdleMonitor)
    hq: HqTier | None = None
    voices: VoiceLibrary | None = None
    analysis: AnalysisService | None = None
    tasks: Supervisor = field(default_factory=Supervisor)

    @asynccontextmanager
    async def open_conversation(
        self,
        session: str,
        observers: Sequence[Observer] = (),
        *,
        reply_options: ReplyOptions | None = None,
        earlier: Sequence[Message] = (),
        first_turn: int = 1,
        owner: str = LOCAL,
        client: dict[str, Any] | None = None,
    ) -> AsyncIterator[Conversation]:
        """Open one conversation, recorded if there is a store; it is closed with the block.

        Args:
            session: Id of the session.
            observers: Receive the conversation's events.
            reply_options: Voice and other options of the replies; None: the configured voice.
            earlier: Messages before the conversation, oldest first.
            first_turn: Number of the first turn.
            owner: Owner of the session.
            client: Description of the client, stored with the session if the session is new.

        Raises:
            Conflict: If the session is open in another server on the same database.
        """
        async with AsyncExitStack() as stack:
            watch = self.idle_monitor.watch(session)
            stack.callback(watch.close)
            watching: list[Observer] = [watch, *observers]
            if self.store is not None:
                await stack.enter_async_context(self.store.claims.hold(session))
                recorder = self.store.recorder(
                    session,
                    owner=owner,
                    client=client,
                    voice=self.settings.voice,
                    engine=self._named("tts"),
                )
                stack.push_async_callback(recorder.close)
                watching.insert(0, recorder)
            yield await stack.enter_async_context(
                Conversation(
                    self.engines,
                    self.settings.dialogue,
                    session,
                    watching,
                    reply_options=reply_options or ReplyOptions(voice=self.settings.voice),
                    earlier=earlier,
                    first_turn=first_turn,
                )
            )

    def _named(self, role: Role) -> str:
        return next((source.name for source in self.loaded if source.role == role), "")


def expected_parts(settings: Settings) -> tuple[str, ...]:
    """Return the names of the parts whose readiness `open_runtime` reports."""
    chosen = roles(settings)
    optional = tuple(role for role in _OPTIONAL if chosen[role] != _NONE)
    return (*(("store",) if settings.store.keep else ()), "vad", *optional, "asr", "llm", "tts")


def sources(settings: Settings) -> dict[Role, EngineSource]:
    """Return the engine source of each role; roles set to ``none`` are omitted.

    Raises:
        WeightsError: If weights are missing.
        SettingsError: If a setting names nothing known.
    """
    return {
        role: resolve(role, value, settings.weights_dir)
        for role, value in roles(settings).items()
        if not (role in _OPTIONAL and value == _NONE)
    }


def _hq_source(settings: Settings) -> EngineSource | None:
    """Return the source of the engine for HQ rendering; None if it is disabled."""
    value = settings.rendering.hq or settings.tts
    return None if value == _NONE else resolve("tts", value, settings.weights_dir)


def _engine_context(settings: Settings) -> EngineContext:
    return EngineContext(settings=settings, cores=Scheduler("cores", settings.engines.cores))


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    *,
    progress: StartupProgress = lambda line: None,
    keep: bool | None = None,
    database: DatabaseStart | None = None,
    when_kept: Callable[[], None] = lambda: None,
) -> AsyncIterator[Runtime]:
    """Open all engines and the store in parallel, and close them in the right order.

    Nothing is computed before the embedded database is up: engines that compute occupy all the cores, and
    their threads interfere with starting processes (see `kuaimei.system.processes`). This costs no time,
    because the engines' libraries are imported meanwhile, which takes as long and is necessary anyway.

    Args:
        settings: The settings.
        progress: Called with the name of each part that has become ready.
        keep: Overrides ``settings.store.keep``.
        database: The embedded database, if the caller has already begun to start it.
        when_kept: Called at the end of the block, once everything has been stored: the remaining steps only
            release the engines' memory, and can be left to the end of the process.

    Raises:
        KuaimeiError: With one sentence on what is wrong and what to do.
    """
    engine_context = _engine_context(settings)
    found = sources(settings)
    second = _hq_source(settings)
    idle_monitor, hq, voices, analysis, tasks = IdleMonitor(), None, None, None, Supervisor()
    async with AsyncExitStack() as lasting, AsyncExitStack() as stack:
        # The store is closed before the engines, which take seconds to release their memory.
        stack.push(lambda kind, *_: when_kept() if kind is None else None)

        async def opened(name: str, context: AbstractAsyncContextManager[T]) -> T:
            thing = await (stack if name == "store" else lasting).enter_async_context(context)
            progress(name)
            return thing

        async def maybe(coroutine: Awaitable[T] | None) -> T | None:
            return None if coroutine is None else await coroutine

        turn, captions = found.get("turn"), found.get("captions")
        keeping = settings.store.keep if keep is None else keep
        if database is None:
            database = lasting.enter_context(starting_database(settings, keep=keep))
        engines_used = [source.engine for source in found.values()]
        try:
            async with asyncio.TaskGroup() as preparing:
                preparing.create_task(asyncio.to_thread(import_libraries, engines_used))
                preparing.create_task(database.up())
                if keeping:
                    preparing.create_task(asyncio.to_thread(make_data_folder, settings.home))
            async with asyncio.TaskGroup() as opening:
                start = opening.create_task
                opening_store = open_store(settings, database.server) if keeping else None
                store = start(maybe(opened("store", opening_store) if opening_store else None))
                llm = start(opened("llm", open_language_model(engine_context, found["llm"])))
                tts = start(opened("tts", open_synthesizer(engine_context, found["tts"])))
                asr = start(opened("asr", open_recognizer(engine_context, found["asr"])))
                vad = start(opened("vad", open_vad(engine_context, found["vad"])))
                detector = start(
                    maybe(opened("turn", open_turn_detector(engine_context, turn)) if turn else None)
                )
                captioner = start(
                    maybe(opened("captions", open_captioner(engine_context, captions)) if captions else None)
                )
                start(asyncio.to_thread(clauses.preload))
                if keeping:
                    start(asyncio.to_thread(_close_to_others, settings.home))
        except BaseExceptionGroup as group:
            raise _first_error(group) from None
        engines = Engines(
            vad=vad.result(),
            recognizer=asr.result(),
            language_model=llm.result(),
            synthesizer=tts.result(),
            captioner=captioner.result(),
            turn_detector=detector.result(),
        )
        own = [getattr(engine, "scheduler", None) for engine in (asr.result(), llm.result(), tts.result())]
        # Reading the system prompt takes seconds; it runs in the background and yields to live requests.
        prompt = Message(role="system", content=settings.dialogue.system_prompt)
        reading = asyncio.ensure_future(llm.result().warm(LLMReq(messages=(prompt,))))
        stack.push_async_callback(_stop, reading)
        if (kept := store.result()) is not None:
            language = settings.dialogue.language
            transcriber = transcribe_with(
                asr.result(),
                language=None if language == "auto" else language,
                hotwords=settings.dialogue.hotwords,
            )
            others: dict[str, Job] = {}
            engines_for = None
            if second is not None:
                memory = ModelCache(settings.rendering.memory_mb, settings.rendering.idle_s)
                hq = HqTier(await stack.enter_async_context(memory))
                engines_for = HqEngineSelector(engine_context, second, kept.voices)
                others[HQ_JOB] = Renderer(
                    kept.renderings, engines_for, hq.model_cache, idle_monitor, hq.announcements, hq.counts
                )
            context = build_voice_context(
                engine_context,
                found["tts"],
                kept,
                idle_monitor,
                vad=vad.result(),
                recognizer=asr.result(),
                synthesizer=tts.result(),
                speak_hq=None
                if hq is None or engines_for is None
                else partial(_synthesize_hq, hq, engines_for),
            )
            if engines_for is not None:
                context.changed.append(engines_for.changed)
            voices = await stack.enter_async_context(open_library(context))
            others.update(voices.jobs)
            if settings.analysis.enabled:
                analysing = open_analysis(settings, kept, vad.result(), engine_context.cores, idle_monitor)
                analysis = await stack.enter_async_context(analysing)
                others[ANALYSE_JOB] = analysis.analyst
            # Entered last, so that background tasks end before the objects that they use.
            await stack.enter_async_context(tasks)
            jobs = partial(kept.run_jobs, others, transcribe=transcriber, apart=tuple(others))
            tasks.start("jobs", jobs)
            tasks.start("keeping", kept.maintenance.run)
            tasks.start("disk", kept.maintenance.watch_disk)
            tasks.start("voices", voices.maintenance.run)
            if analysis is not None:
                tasks.start("analysis", analysis.run)
        yield Runtime(
            settings=settings,
            engines=engines,
            store=kept,
            loaded=tuple(found.values()),
            schedulers=(
                engine_context.cores,
                *(scheduler for scheduler in own if isinstance(scheduler, Scheduler)),
            ),
            idle_monitor=idle_monitor,
            hq=hq,
            voices=voices,
            analysis=analysis,
            tasks=tasks,
        )


@asynccontextmanager
async def open_engine(
    settings: Settings,
    role: Role,
    opener: Callable[[EngineContext, EngineSource], AbstractAsyncContextManager[T]],
) -> AsyncIterator[T]:
    """Open a single engine, for a command that needs only one."""
    async with opener(_engine_context(settings), sources(settings)[role]) as engine:
        yield engine


def build_voice_context(
    engine_context: EngineContext,
    source: EngineSource,
    store: Store,
    idle_monitor: IdleMonitor,
    *,
    vad: Callable[[], VoiceActivityDetector],
    recognizer: Recognizer,
    synthesizer: Synthesizer,
    speak_hq: Speak | None = None,
) -> VoiceContext:
    """Create the context that enrolment and training of voices use.

    Args:
        engine_context: Settings and cores.
        source: Source of the synthesizer's weights.
        store: The server's store.
        idle_monitor: Lets background work wait for idle cores.
        vad: Factory of voice activity detectors.
        recognizer: Transcribes reference recordings.
        synthesizer: The fast synthesizer, in which new voices are registered.
        speak_hq: Synthesizes with the second tier; None if there is none.
    """
    settings = engine_context.settings
    encoder = partial(speaker_encoder, settings)
    return VoiceContext(
        settings=settings,
        store=store,
        examiner=ReferenceExaminer(vad, recognizer, encoder, engine_context.cores),
        synthesizer=synthesizer,
        idle_monitor=idle_monitor,
        cores=engine_context.cores,
        environment=LearningEnvironment(settings, idle_monitor),
        weights=None if source.path is None else source.path / "fp32.onnx",
        speak_hq=speak_hq,
    )


@asynccontextmanager
async def open_voice_library(settings: Settings, *, learning: bool = False) -> AsyncIterator[VoiceLibrary]:
    """Open the voice library for a command, including the job queue that enrols and trains voices.

    Args:
        settings: The settings.
        learning: True if the command waits for a training, so that the training environment is installed.

    Raises:
        KuaimeiError: With one sentence on what is wrong and what to do.
    """
    engine_context, found = _engine_context(settings), sources(settings)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await asyncio.to_thread(make_data_folder, settings.home)
        await asyncio.to_thread(_close_to_others, settings.home)
        store = await enter(open_store(settings))
        vad = await enter(open_vad(engine_context, found["vad"]))
        recognizer = await enter(open_recognizer(engine_context, found["asr"]))
        synthesizer = await enter(open_synthesizer(engine_context, found["tts"]))
        context = build_voice_context(
            engine_context,
            found["tts"],
            store,
            IdleMonitor(),
            vad=vad,
            recognizer=recognizer,
            synthesizer=synthesizer,
        )
        library = VoiceLibrary(context)
        await library.maintenance.sync_registrations()
        transcriber = transcribe_with(recognizer)
        tasks = await enter(Supervisor())
        jobs = partial(store.run_jobs, library.jobs, transcribe=transcriber, apart=library.dedicated_jobs)
        tasks.start("jobs", jobs)
        if learning:
            await enter(voice_training_state(library, tasks, after_s=0.0))
        yield library


@asynccontextmanager
async def voice_training_state(
    library: VoiceLibrary, tasks: Supervisor, **timing: float
) -> AsyncIterator[None]:
    """Install the training environment in the background, then train the voices that wait for it.

    Args:
        library: The voice library.
        tasks: Supervisor that reports failures.
        timing: Passed on to `LearningEnvironment.keep`.
    """
    context = library.context
    async with Supervisor() as supervisor:
        tasks.include(supervisor)
        keep = partial(context.environment.keep, library.maintenance.take_up, useless=context.lack, **timing)
        supervisor.start("environment for learning voices", keep)
        yield


async def _synthesize_hq(
    hq: HqTier, engines: HqEngineSelector, voice: str, texts: Sequence[str]
) -> Sequence[tuple[Pcm, int]]:
    """Synthesize ``texts`` with the second tier in ``voice``, at background priority."""
    engine = await engines(voice)
    said = []
    async with hq.model_cache.use(engine.key, engine.memory_mb, engine.open) as synthesizer:
        name = engine.prepare(synthesizer)
        for text in texts:
            request = TTSReq(text=text, voice_id=name, mode="hq", ticket=BACKGROUND_TICKET)
            said.append((await collect_pcm(synthesizer.stream(request)), synthesizer.sample_rate))
    return said


def _close_to_others(home: Path) -> None:
    """Restrict the permissions of files that an earlier version left readable in the data folder."""
    if closed := close_to_others(home):
        _log.warning("removed other accounts' access to %s: %d files and folders", home, closed)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error to report: a deliberate one if there is one, else the first of all."""
    leaves: list[BaseException] = []

    def gather(error: BaseException) -> None:
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                gather(inner)
        else:
            leaves.append(error)

    gather(group)
    return next((e for e in leaves if isinstance(e, KuaimeiError)), leaves[0])
