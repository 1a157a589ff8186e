"""Where everything meets: settings in, a house with its engines and its store out."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kuaimei.analysis.service import AnalysisRoom, open_analysis
from kuaimei.audio.pcm import Pcm
from kuaimei.audio.streams import whole
from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.events import Observer
from kuaimei.dialogue.idle_monitor import Quiet
from kuaimei.dialogue.reply_options import Manner
from kuaimei.engines.asr import open_captioner, open_recognizer
from kuaimei.engines.import_lock import import_libraries
from kuaimei.engines.llm import open_language_model
from kuaimei.engines.protocols import Recognizer, Synthesizer, VoiceActivityDetector
from kuaimei.engines.registry import Workshop
from kuaimei.engines.scheduling import Lane
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.turn import open_turn_detector
from kuaimei.engines.types import LLMReq, Message, TTSReq
from kuaimei.engines.vad import open_vad
from kuaimei.errors import KuaimeiError
from kuaimei.models.resolve import resolve, roles
from kuaimei.models.source import Role, Source
from kuaimei.rendering.engine_selection import HqEngines
from kuaimei.rendering.hq_tier import HqTier
from kuaimei.rendering.model_cache import Residency
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
from kuaimei.voices.context import TICKET, Speak, Workroom, speaker_encoder
from kuaimei.voices.enrolment.pipeline import Examiner
from kuaimei.voices.library import VoiceLibrary, open_library
from kuaimei.voices.training.environment.background_install import LearningEnvironment

__all__ = [
    "House",
    "Progress",
    "expected_parts",
    "making_learnable",
    "open_house",
    "open_one",
    "open_voices",
    "sources",
    "voice_room",
]

_log = logging.getLogger(__name__)

T = TypeVar("T")

Progress = Callable[[str], None]
"""Told in one line what has become ready."""

_NONE = "none"
_OPTIONAL: tuple[Role, ...] = ("turn", "captions")
"""Roles that may be left empty with the setting ``none``."""


@dataclass(frozen=True, slots=True)
class House:
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
    loaded: tuple[Source, ...]
    lanes: tuple[Lane, ...]
    quiet: Quiet = field(default_factory=Quiet)
    hq: HqTier | None = None
    voices: VoiceLibrary | None = None
    analysis: AnalysisRoom | None = None
    tasks: Supervisor = field(default_factory=Supervisor)

    @asynccontextmanager
    async def converse(
        self,
        session: str,
        observers: Sequence[Observer] = (),
        *,
        manner: Manner | None = None,
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
            watch = self.quiet.watch(session)
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
                    manner=manner or Manner(voice=self.settings.voice),
                    earlier=earlier,
                    first_turn=first_turn,
                )
            )

    def _named(self, role: Role) -> str:
        return next((source.name for source in self.loaded if source.role == role), "")


def expected_parts(settings: Settings) -> tuple[str, ...]:
    """What `open_house` tells the readiness of."""
    chosen = roles(settings)
    optional = tuple(role for role in _OPTIONAL if chosen[role] != _NONE)
    return (*(("store",) if settings.store.keep else ()), "vad", *optional, "asr", "llm", "tts")


def sources(settings: Settings) -> dict[Role, Source]:
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


def _second(settings: Settings) -> Source | None:
    """What renders replies a second time."""
    value = settings.rendering.hq or settings.tts
    return None if value == _NONE else resolve("tts", value, settings.weights_dir)


def _workshop(settings: Settings) -> Workshop:
    return Workshop(settings=settings, cores=Lane("cores", settings.engines.cores))


@asynccontextmanager
async def open_house(
    settings: Settings,
    *,
    progress: Progress = lambda line: None,
    keep: bool | None = None,
    database: DatabaseStart | None = None,
    when_kept: Callable[[], None] = lambda: None,
) -> AsyncIterator[House]:
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
    workshop = _workshop(settings)
    found = sources(settings)
    second = _second(settings)
    quiet, hq, voices, analysis, tasks = Quiet(), None, None, None, Supervisor()
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
                llm = start(opened("llm", open_language_model(workshop, found["llm"])))
                tts = start(opened("tts", open_synthesizer(workshop, found["tts"])))
                asr = start(opened("asr", open_recognizer(workshop, found["asr"])))
                vad = start(opened("vad", open_vad(workshop, found["vad"])))
                detector = start(maybe(opened("turn", open_turn_detector(workshop, turn)) if turn else None))
                captioner = start(
                    maybe(opened("captions", open_captioner(workshop, captions)) if captions else None)
                )
                start(asyncio.to_thread(clauses.warm))
                if keeping:
                    start(asyncio.to_thread(_close_to_others, settings.home))
        except BaseExceptionGroup as group:
            raise _first(group) from None
        engines = Engines(
            vad=vad.result(),
            recognizer=asr.result(),
            language_model=llm.result(),
            synthesizer=tts.result(),
            captioner=captioner.result(),
            turn_detector=detector.result(),
        )
        own = [getattr(engine, "lane", None) for engine in (asr.result(), llm.result(), tts.result())]
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
                memory = Residency(settings.rendering.memory_mb, settings.rendering.idle_s)
                hq = HqTier(await stack.enter_async_context(memory))
                engines_for = HqEngines(workshop, second, kept.voices)
                others[HQ_JOB] = Renderer(
                    kept.renderings, engines_for, hq.residency, quiet, hq.announcements, hq.counts
                )
            room = voice_room(
                workshop,
                found["tts"],
                kept,
                quiet,
                vad=vad.result(),
                recognizer=asr.result(),
                synthesizer=tts.result(),
                speak_hq=None if hq is None or engines_for is None else partial(_say_hq, hq, engines_for),
            )
            if engines_for is not None:
                room.changed.append(engines_for.changed)
            voices = await stack.enter_async_context(open_library(room))
            others.update(voices.jobs)
            if settings.analysis.enabled:
                analysing = open_analysis(settings, kept, vad.result(), workshop.cores, quiet)
                analysis = await stack.enter_async_context(analysing)
                others[ANALYSE_JOB] = analysis.analyst
            # Entered last: what goes on by itself ends before whatever it uses.
            await stack.enter_async_context(tasks)
            jobs = partial(kept.run_jobs, others, transcribe=transcriber, apart=tuple(others))
            tasks.start("jobs", jobs)
            tasks.start("keeping", kept.maintenance.run)
            tasks.start("disk", kept.maintenance.watch_disk)
            tasks.start("voices", voices.upkeep.tend)
            if analysis is not None:
                tasks.start("analysis", analysis.upkeep)
        yield House(
            settings=settings,
            engines=engines,
            store=kept,
            loaded=tuple(found.values()),
            lanes=(workshop.cores, *(lane for lane in own if isinstance(lane, Lane))),
            quiet=quiet,
            hq=hq,
            voices=voices,
            analysis=analysis,
            tasks=tasks,
        )


@asynccontextmanager
async def open_one(
    settings: Settings, role: Role, opener: Callable[[Workshop, Source], AbstractAsyncContextManager[T]]
) -> AsyncIterator[T]:
    """A single engine, for a command that needs no more."""
    async with opener(_workshop(settings), sources(settings)[role]) as engine:
        yield engine


def voice_room(
    workshop: Workshop,
    source: Source,
    store: Store,
    quiet: Quiet,
    *,
    vad: Callable[[], VoiceActivityDetector],
    recognizer: Recognizer,
    synthesizer: Synthesizer,
    speak_hq: Speak | None = None,
) -> Workroom:
    """What enrolling and learning voices use of a house.

    Args:
        source: Of the synthesiser's weights.
    """
    settings = workshop.settings
    encoder = partial(speaker_encoder, settings)
    return Workroom(
        settings=settings,
        store=store,
        examiner=Examiner(vad, recognizer, encoder, workshop.cores),
        synthesizer=synthesizer,
        quiet=quiet,
        cores=workshop.cores,
        environment=LearningEnvironment(settings, quiet),
        weights=None if source.path is None else source.path / "fp32.onnx",
        speak_hq=speak_hq,
    )


@asynccontextmanager
async def open_voices(settings: Settings, *, learning: bool = False) -> AsyncIterator[VoiceLibrary]:
    """The cloned voices with what is needed to add and learn them, for a command; their jobs are done.

    Args:
        learning: The command waits until a voice is learned, so that the environment for that is made.

    Raises:
        KuaimeiError: With one sentence on what is wrong and what to do.
    """
    workshop, found = _workshop(settings), sources(settings)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await asyncio.to_thread(make_home, settings.home)
        await asyncio.to_thread(_close_to_others, settings.home)
        store = await enter(open_store(settings))
        vad = await enter(open_vad(workshop, found["vad"]))
        recognizer = await enter(open_recognizer(workshop, found["asr"]))
        synthesizer = await enter(open_synthesizer(workshop, found["tts"]))
        room = voice_room(
            workshop,
            found["tts"],
            store,
            Quiet(),
            vad=vad,
            recognizer=recognizer,
            synthesizer=synthesizer,
        )
        library = VoiceLibrary(room)
        await library.upkeep.follow()
        transcriber = transcribe_with(recognizer)
        tasks = await enter(Supervisor())
        jobs = partial(store.run_jobs, library.jobs, transcribe=transcriber, apart=library.apart)
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
    room = library.room
    async with Supervisor() as supervisor:
        tasks.include(supervisor)
        keep = partial(room.environment.keep, library.upkeep.take_up, useless=room.lack, **timing)
        supervisor.start("environment for learning voices", keep)
        yield


async def _say_hq(
    hq: HqTier, engines: HqEngines, voice: str, texts: Sequence[str]
) -> Sequence[tuple[Pcm, int]]:
    """``texts`` as the second tier says them in ``voice``, behind everyone who is talking."""
    engine = await engines(voice)
    said = []
    async with hq.residency.use(engine.key, engine.memory_mb, engine.open) as synthesizer:
        name = engine.prepare(synthesizer)
        for text in texts:
            request = TTSReq(text=text, voice_id=name, mode="hq", ticket=TICKET)
            said.append((await whole(synthesizer.stream(request)), synthesizer.sample_rate))
    return said


def _close_to_others(home: Path) -> None:
    """What an earlier version left open in the data folder."""
    if closed := close_to_others(home):
        _log.warning("closed what was open to other accounts in %s: %d files and folders", home, closed)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
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
