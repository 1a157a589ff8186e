"""Where everything meets: settings in, a server with its engines and its store out."""

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
from kuaimei.system.privacy import close_to_others, make_home
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
    "making_learnable",
    "open_engine",
    "open_runtime",
    "open_voice_library",
    "sources",
]

_log = logging.getLogger(__name__)

T = TypeVar("T")

StartupProgress = Callable[[str], None]
"""Told in one line what has become ready."""

_NONE = "none"
_OPTIONAL: tuple[Role, ...] = ("turn", "captions")
"""Roles that may be left empty with the setting ``none``."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything a server or a command needs, open and warm.

    Attributes:
        store: None if nothing is to be kept.
        loaded: What plays each role.
        lanes: The queues of the engines, for metrics.
        quiet: Knows when nobody is talking or being answered.
        hq: What renders replies a second time; None: nothing does.
        voices: The cloned ones; None if nothing is to be kept.
        analysis: Of how people spoke; None: nothing is analysed.
        tasks: What goes on by itself in the background.
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
        """One conversation, recorded if there is a store; closed with the block.

        It is ``owner``'s, and ``client`` is noted with the session, should that not be there yet.

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
    """What `open_runtime` tells the readiness of."""
    chosen = roles(settings)
    optional = tuple(role for role in _OPTIONAL if chosen[role] != _NONE)
    return (*(("store",) if settings.store.keep else ()), "vad", *optional, "asr", "llm", "tts")


def sources(settings: Settings) -> dict[Role, EngineSource]:
    """What plays each role; roles set to ``none`` are left out.

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
    """What renders replies a second time."""
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
    """Open every engine and the store, side by side, and close them in good order.

    Nothing is computed before the embedded database is up: engines that compute take all the cores, and their
    threads are in the way of whoever starts a process (see `kuaimei.system.processes`). That costs no time,
    since meanwhile the engines' libraries are imported, which takes as long and has to be done anyway.

    Args:
        keep: Overrides ``settings.store.keep``.
        database: The embedded database on its way up, if the caller has begun to start it.
        when_kept: Called at the end of the block, when all that is to be kept is: what comes then only gives
            back the memory of the engines, and can be left to the end of the process.

    Raises:
        KuaimeiError: With one sentence on what is wrong and what to do.
    """
    engine_context = _engine_context(settings)
    found = sources(settings)
    second = _hq_source(settings)
    idle_monitor, hq, voices, analysis, tasks = IdleMonitor(), None, None, None, Supervisor()
    async with AsyncExitStack() as lasting, AsyncExitStack() as stack:
        # What is kept is closed before the engines: they take seconds to give back what they hold.
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
                    preparing.create_task(asyncio.to_thread(make_home, settings.home))
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
        # The system prompt takes seconds to read: nobody has to wait for that, a live request goes first.
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
            # Entered last: what goes on by itself ends before whatever it uses.
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
    """A single engine, for a command that needs no more."""
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
    """What enrolling and learning voices use of a server.

    Args:
        source: Of the synthesiser's weights.
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
    """The cloned voices with what is needed to add and learn them, for a command; their jobs are done.

    Args:
        learning: The command waits until a voice is learned, so that the environment for that is made.

    Raises:
        KuaimeiError: With one sentence on what is wrong and what to do.
    """
    engine_context, found = _engine_context(settings), sources(settings)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await asyncio.to_thread(make_home, settings.home)
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
            await enter(making_learnable(library, tasks, after_s=0.0))
        yield library


@asynccontextmanager
async def making_learnable(library: VoiceLibrary, tasks: Supervisor, **timing: float) -> AsyncIterator[None]:
    """Have the environment for learning made in the background, then the voices learned that wait for it.

    Args:
        tasks: Told of what fails.
        timing: Of `LearningEnvironment.keep`.
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
    """``texts`` as the second tier says them in ``voice``, behind everyone who is talking."""
    engine = await engines(voice)
    said = []
    async with hq.model_cache.use(engine.key, engine.memory_mb, engine.open) as synthesizer:
        name = engine.prepare(synthesizer)
        for text in texts:
            request = TTSReq(text=text, voice_id=name, mode="hq", ticket=BACKGROUND_TICKET)
            said.append((await collect_pcm(synthesizer.stream(request)), synthesizer.sample_rate))
    return said


def _close_to_others(home: Path) -> None:
    """What an earlier version left open in the data folder."""
    if closed := close_to_others(home):
        _log.warning("closed what was open to other accounts in %s: %d files and folders", home, closed)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What to tell: a deliberate error if there is one, else the first of whatever happened."""
    leaves: list[BaseException] = []

    def gather(error: BaseException) -> None:
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                gather(inner)
        else:
            leaves.append(error)

    gather(group)
    return next((e for e in leaves if isinstance(e, KuaimeiError)), leaves[0])
