"""A whole server with a real store, a real library of voices and real analysis; the engines are fakes."""

import asyncio
import gc
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from fastapi import FastAPI
from sqlalchemy import text

from kuaimei.analysis.head import FEATURES
from kuaimei.analysis.service import open_analysis
from kuaimei.analysis.types import SCORES
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.scheduling import Scheduler
from kuaimei.http.connection_limits import ConnectionRegistry
from kuaimei.http.uvicorn_http import HttpConfig
from kuaimei.models.source import EngineSource
from kuaimei.people.authentication import Authentication
from kuaimei.runtime import Runtime
from kuaimei.server.app import create_app
from kuaimei.server.gc_freeze import freeze_heap
from kuaimei.server.serve import make_server
from kuaimei.settings import Settings
from kuaimei.store import Store, StoredTranscript, UtteranceRow, open_store
from kuaimei.store.analyses import ANALYSE_JOB
from kuaimei.text import clauses
from kuaimei.voices.context import speaker_encoder
from kuaimei.voices.enrolment.pipeline import ReferenceExaminer
from kuaimei.voices.library import open_library
from kuaimei.voices.training.environment.background_install import LearningEnvironment
from tests.support.fakes import FakeRecognizer
from tests.support.heartbeat import Heartbeat, heartbeat
from tests.support.server.app_server import eventually, quick_engines
from tests.support.voices.running_library import TEXT, FakeContext, FakeVoiceBank, LoudVad

__all__ = ["LONG", "Whole", "apart", "fill", "whole"]

T = TypeVar("T")

LONG: Final = 3000
"""Utterances of a session that somebody has gone on with for months."""
_FRAMES: Final = 500
"""Of the contours of one utterance: five seconds."""


@dataclass(frozen=True)
class Whole:
    """Where it can be reached, and what is behind it."""

    runtime: Runtime
    app: FastAPI
    port: int
    registry: ConnectionRegistry

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    @property
    def store(self) -> Store:
        assert self.runtime.store is not None
        return self.runtime.store


async def _nothing(utterance: UtteranceRow, pieces: object) -> StoredTranscript:
    return StoredTranscript("")


@asynccontextmanager
async def whole(
    settings: Settings,
    engines: Engines | None = None,
    *,
    authentication: Authentication | None = None,
    prepare: Callable[[FastAPI], None] = lambda app: None,
) -> AsyncIterator[Whole]:
    """Serve it on a free port of loopback for the length of the block; ``prepare`` may change it before.

    Without authentication and without a configured key, everybody may come in.
    """
    anybody = authentication is None and not settings.server.api_key.get_secret_value()
    server = settings.server.model_copy(update={"port": 0, "open": anybody})
    settings = settings.model_copy(update={"server": server})
    settings.home.mkdir(parents=True, exist_ok=True)
    engines = engines or quick_engines(synthesizer=FakeVoiceBank(delay_s=0.0, character_ms=100.0))
    idle_monitor, scheduler = IdleMonitor(settle_s=0.01), Scheduler("cores", 2)
    await asyncio.to_thread(clauses.preload)  # as where a server is opened
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        listener = FakeRecognizer(text=TEXT, delay_s=0.0)
        room = FakeContext(
            settings=settings,
            store=store,
            examiner=ReferenceExaminer(LoudVad, listener, partial(speaker_encoder, settings), scheduler),
            synthesizer=engines.synthesizer,
            idle_monitor=idle_monitor,
            cores=scheduler,
            weights=None,
            environment=LearningEnvironment(settings, idle_monitor),
        )
        library = await stack.enter_async_context(open_library(room))
        analysis = None
        jobs = dict(library.jobs)
        if settings.analysis.enabled:
            analysing = open_analysis(settings, store, LoudVad, scheduler, idle_monitor)
            analysis = await stack.enter_async_context(analysing)
            jobs[ANALYSE_JOB] = analysis.analyst
        working = asyncio.ensure_future(store.run_jobs(jobs, transcribe=_nothing, apart=tuple(jobs)))
        runtime = Runtime(
            settings=settings,
            engines=engines,
            store=store,
            loaded=(
                EngineSource("asr", "whisper-small", "whisper"),
                EngineSource("llm", "tiny", "llama"),
                EngineSource("tts", "kokoro", "kokoro"),
            ),
            schedulers=(scheduler,),
            idle_monitor=idle_monitor,
            voices=library,
            analysis=analysis,
        )
        app = create_app(runtime, authentication=authentication)
        prepare(app)
        running = make_server(app, settings.server)
        serving = asyncio.ensure_future(running.serve())
        await eventually(lambda: running.started or serving.done())
        try:
            assert isinstance(running.config, HttpConfig)
            port = running.servers[0].sockets[0].getsockname()[1]
            yield Whole(runtime, app, port, running.config.registry)
        finally:
            running.should_exit = True
            await serving
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


@dataclass(frozen=True)
class Apart:
    """A server whose event loop has a thread to itself, so that its computing is nobody else's."""

    whole: Whole
    pulse: Heartbeat
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)


@contextmanager
def apart(
    settings: Settings,
    engines: Engines | None = None,
    *,
    authentication: Authentication | None = None,
    prepare: Callable[[FastAPI], None] = lambda app: None,
) -> Iterator[Apart]:
    """As `whole`, on a loop of its own in a thread of its own, with a heartbeat."""
    begun: list[Apart] = []
    failures: list[BaseException] = []
    ready, over = threading.Event(), asyncio.Event()

    async def live() -> None:
        async with (
            whole(settings, engines, authentication=authentication, prepare=prepare) as served,
            heartbeat() as pulse,
        ):
            freeze_heap()
            begun.append(Apart(served, pulse, asyncio.get_running_loop()))
            ready.set()
            await over.wait()
            gc.unfreeze()

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(120)
    try:
        if begun:
            yield begun[0]
    finally:
        if begun:
            begun[0].loop.call_soon_threadsafe(over.set)
        thread.join(120)
    if failures:
        raise failures[0]


async def fill(store: Store, session: str, count: int = LONG, *, owner: str = "local") -> list[str]:
    """A session with ``count`` utterances, all of them analysed, none with a recording; their ids."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    ids = [f"utt_{session}_{n:05}" for n in range(count)]
    scores = {
        name: {"value": 0.5, "bias": 0.1, "contributions": dict.fromkeys(FEATURES, 0.01)} for name in SCORES
    }
    contours = {
        "frame_ms": 10.0,
        "f0_hz": [100.0 + n % 80 + 0.123 for n in range(_FRAMES)],
        "pauses": [[400.0, 600.0], [2000.0, 2300.0]],
    }
    said: list[dict[str, Any]] = [
        {
            "id": utterance,
            "turn": n // 2 + 1,
            "speaker": "assistant" if n % 2 else "user",
            "at": began + timedelta(seconds=n),
            "transcript": f"第{n}句話，今天天氣很好，我們出去走走吧。",
        }
        for n, utterance in enumerate(ids)
    ]
    async with store._database.begin() as connection:
        await connection.execute(
            text(
                "insert into sessions (id, owner, client, started_at) values (:id, :owner, '{}'::jsonb, :at)"
            ),
            {"id": session, "owner": owner, "at": began},
        )
        await connection.execute(
            text(
                "insert into utterances (id, session_id, turn, speaker, is_turn, started_at, duration_ms, "
                "sample_rate, state, transcript, language, interrupted, voice, engine, run) values "
                f"(:id, '{session}', :turn, :speaker, true, :at, 5000, 16000, 'empty', :transcript, 'zh', "
                "false, '', '', 'run_filled')"
            ),
            said,
        )
        await connection.execute(
            text(
                "insert into analyses (utterance_id, extractor, head, state, features, scores, contours, "
                "took_ms, analysed_at) select id, 'x', 'h', 'scored', cast(:features as jsonb), "
                "cast(:scores as jsonb), cast(:contours as jsonb), 1, now() from utterances "
                "where session_id = :session"
            ),
            {
                "session": session,
                "features": json.dumps(dict.fromkeys(FEATURES, 1.234567)),
                "scores": json.dumps(scores),
                "contours": json.dumps(contours),
            },
        )
        await connection.execute(
            text(
                "insert into turns (session_id, turn, timings) select session_id, turn, "
                "'{\"first_audio_ms\": 900.0}' from utterances where session_id = :session "
                "and speaker = 'user'"
            ),
            {"session": session},
        )
        await connection.execute(
            text(
                "insert into sessions (id, owner, client, started_at) select 'sess_more_' || n, :owner, "
                "cast(:client as jsonb), cast(:at as timestamptz) + n * interval '1 hour' "
                "from generate_series(1, :count / 5) n"
            ),
            {"owner": owner, "client": json.dumps({"agent": "x" * 200}), "at": began, "count": count},
        )
        await connection.execute(
            text(
                "insert into ratings (utterance_id, owner, rater, confidence) select id, :owner, 'x', 3 "
                "from utterances where session_id = :session"
            ),
            {"owner": owner, "session": session},
        )
        await connection.execute(
            text(
                "insert into preferences "
                "(id, owner, kind, first, second, swapped, choice, remark, judged_at) "
                "select 'pref_' || n, :owner, 'voices', 'zf_one', 'zm_two', false, 'a', repeat('x', 500), "
                "now() from generate_series(1, :count) n"
            ),
            {"owner": owner, "count": count},
        )
        for n in range(count // 15):
            voice = {
                "id": f"voice_{session}_{n}",
                "owner": owner,
                "consent": json.dumps({"speaker": "x", "statement": "y", "at": began.isoformat()}),
            }
            await connection.execute(
                text(
                    "insert into voices "
                    "(id, owner, name, state, duration_s, checks, consent, learning) "
                    "values (:id, :owner, 'x', 'failed', 5, '[]'::jsonb, cast(:consent as jsonb), "
                    "'{}'::jsonb)"
                ),
                voice,
            )
    return ids
