"""Where everything meets: settings in, a house with its engines and its store out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.events import Observer
from kuaimei.dialogue.manner import Manner
from kuaimei.engines.asr import open_captioner, open_recognizer
from kuaimei.engines.llm import open_language_model
from kuaimei.engines.scheduling import Lane
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.turn import open_turn_detector
from kuaimei.engines.types import LLMReq, Message
from kuaimei.engines.vad import open_vad
from kuaimei.engines.workshop import Workshop
from kuaimei.errors import KuaimeiError
from kuaimei.models.resolve import resolve, roles
from kuaimei.models.source import Role, Source
from kuaimei.settings import Settings
from kuaimei.store import Store, open_store, transcribe_with
from kuaimei.text import clauses

__all__ = ["PARTS", "House", "Progress", "open_house", "open_one", "sources"]

T = TypeVar("T")

Progress = Callable[[str], None]
"""Told in one line what has become ready."""

PARTS = ("store", "vad", "turn", "captions", "asr", "llm", "tts")
"""What `open_house` tells the readiness of."""

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
    """

    settings: Settings
    engines: Engines
    store: Store | None
    loaded: tuple[Source, ...]
    lanes: tuple[Lane, ...]

    @asynccontextmanager
    async def converse(
        self,
        session: str,
        observers: Sequence[Observer] = (),
        *,
        manner: Manner | None = None,
        earlier: Sequence[Message] = (),
        first_turn: int = 1,
    ) -> AsyncIterator[Conversation]:
        """One conversation, recorded if there is a store; closed with the block."""
        async with AsyncExitStack() as stack:
            watching = list(observers)
            if self.store is not None:
                recorder = self.store.recorder(session, voice=self.settings.voice, engine=self._named("tts"))
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


def _workshop(settings: Settings) -> Workshop:
    return Workshop(settings=settings, cores=Lane("cores", settings.engines.cores))


@asynccontextmanager
async def open_house(
    settings: Settings, *, progress: Progress = lambda line: None, keep: bool | None = None
) -> AsyncIterator[House]:
    """Open every engine and the store, side by side, and close them in good order.

    Args:
        keep: Overrides ``settings.store.keep``.

    Raises:
        KuaimeiError: With one sentence on what is wrong and what to do.
    """
    workshop = _workshop(settings)
    found = sources(settings)
    async with AsyncExitStack() as stack:

        async def opened(name: str, context: AbstractAsyncContextManager[T]) -> T:
            thing = await stack.enter_async_context(context)
            progress(name)
            return thing

        async def maybe(coroutine: Awaitable[T] | None) -> T | None:
            return None if coroutine is None else await coroutine

        turn, captions = found.get("turn"), found.get("captions")
        keeping = settings.store.keep if keep is None else keep
        try:
            async with asyncio.TaskGroup() as opening:
                start = opening.create_task
                store = start(maybe(opened("store", open_store(settings)) if keeping else None))
                llm = start(opened("llm", open_language_model(workshop, found["llm"])))
                tts = start(opened("tts", open_synthesizer(workshop, found["tts"])))
                asr = start(opened("asr", open_recognizer(workshop, found["asr"])))
                vad = start(opened("vad", open_vad(workshop, found["vad"])))
                detector = start(maybe(opened("turn", open_turn_detector(workshop, turn)) if turn else None))
                captioner = start(
                    maybe(opened("captions", open_captioner(workshop, captions)) if captions else None)
                )
                start(asyncio.to_thread(clauses.warm))
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
            jobs = asyncio.ensure_future(kept.run_jobs(transcribe=transcriber))
            stack.push_async_callback(_stop, jobs)
        yield House(
            settings=settings,
            engines=engines,
            store=kept,
            loaded=tuple(found.values()),
            lanes=(workshop.cores, *(lane for lane in own if isinstance(lane, Lane))),
        )


@asynccontextmanager
async def open_one(
    settings: Settings, role: Role, opener: Callable[[Workshop, Source], AbstractAsyncContextManager[T]]
) -> AsyncIterator[T]:
    """A single engine, for a command that needs no more."""
    async with opener(_workshop(settings), sources(settings)[role]) as engine:
        yield engine


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
