"""A whole server on loopback: everything real but the engines and the store."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from openai import AsyncOpenAI
from pydantic import SecretStr

from kuaimei.analysis.service import AnalysisService
from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.events import Event, Observer
from kuaimei.dialogue.reply_options import ReplyOptions
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Message
from kuaimei.errors import NotFound, StoreError
from kuaimei.models.source import EngineSource
from kuaimei.people.authentication import Authentication
from kuaimei.rendering.hq_tier import HqTier
from kuaimei.server.app import create_app
from kuaimei.server.serve import make_server
from kuaimei.server.static_page import Page
from kuaimei.settings import DialogueSettings, ServerSettings, Settings
from kuaimei.store.deletions import Deletion, DeletionKind
from kuaimei.store.erasure_check import Leftover
from kuaimei.store.rows import Audio, Health, SessionRow, Statistics, TurnRow, UtteranceRow
from kuaimei.store.utterance_record import LOCAL, Tier
from kuaimei.system.supervision import Supervisor
from kuaimei.voices.library import VoiceLibrary
from tests.support.fakes import (
    FakeCaptioner,
    FakeLanguageModel,
    FakeRecognizer,
    FakeSynthesizer,
    fake_engines,
)
from tests.support.server.analysis_service import MemoryAnalyses, MemoryPeers, MemoryRatings
from tests.support.server.belongings import MemoryKeys, MemoryPeople, MemoryVoices
from tests.support.server.listening_tests import MemoryPreferences

__all__ = [
    "KEY",
    "InMemoryRuntime",
    "MemoryArchive",
    "Served",
    "eventually",
    "make_settings",
    "quick_engines",
    "serving",
]

KEY = "a-key-of-some-length"


def quick_engines(**replaced: Any) -> Engines:
    """Fakes that answer at once; the recogniser hears 「你好嗎」 whatever is said."""
    parts: dict[str, Any] = {
        "recognizer": FakeRecognizer(text="你好嗎", delay_s=0.0),
        "language_model": FakeLanguageModel(first_token_s=0.0, token_s=0.0),
        "synthesizer": FakeSynthesizer(delay_s=0.0, character_ms=100.0),
        "captioner": FakeCaptioner(delay_s=0.0),
    }
    return fake_engines(**{**parts, **replaced})


@dataclass
class MemoryArchive:
    """Keeps nothing but what a test puts in."""

    kept: dict[str, SessionRow] = field(default_factory=dict)
    said: dict[str, list[UtteranceRow]] = field(default_factory=dict)
    sound: dict[str, bytes] = field(default_factory=dict)
    away: bool = False
    preferences: MemoryPreferences = field(default_factory=MemoryPreferences)
    analyses: MemoryAnalyses = field(default_factory=MemoryAnalyses)
    peers: MemoryPeers = field(default_factory=MemoryPeers)
    ratings: MemoryRatings = field(default_factory=MemoryRatings)
    people: MemoryPeople = field(default_factory=MemoryPeople)
    voices: MemoryVoices = field(default_factory=MemoryVoices)

    def __post_init__(self) -> None:
        self.keys = MemoryKeys(self.people)

    def put(
        self,
        session: str,
        *texts: str,
        sound: bytes = b"",
        client: dict[str, Any] | None = None,
        owner: str = LOCAL,
    ) -> None:
        """A session in which ``texts`` were said, by user and assistant in turn."""
        now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.kept[session] = SessionRow(session, now, client or {}, title=texts[0], owner=owner)
        self.said[session] = [
            UtteranceRow(
                id=f"utt_{session}_{n}",
                session_id=session,
                turn=n // 2 + 1,
                speaker="assistant" if n % 2 else "user",
                is_turn=True,
                started_at=now,
                duration_ms=1000.0,
                sample_rate=16_000,
                state="stored",
                sha256="ab" * 32,
                bytes=len(sound) or None,
                transcript=text,
                language="zh",
                heard_ms=None,
                heard_text=None,
                interrupted=False,
                voice="",
                engine="",
            )
            for n, text in enumerate(texts)
        ]
        for utterance in self.said[session]:
            self.sound[utterance.id] = sound

    def _check(self) -> None:
        if self.away:
            raise StoreError("the database is away")

    async def health(self) -> Health:
        return Health(not self.away, True)

    async def statistics(self) -> Statistics:
        self._check()
        return Statistics(len(self.kept), 0, 0.0, 0, 0, 0, 0, {"todo": 2})

    async def ensure_session(
        self, session: str, client: dict[str, Any] | None = None, *, owner: str = LOCAL
    ) -> None:
        self._check()
        self.kept.setdefault(session, SessionRow(session, datetime.now(UTC), client or {}, owner=owner))

    async def sessions(
        self, limit: int = 50, *, before: str | None = None, search: str = "", owner: str | None = None
    ) -> Sequence[SessionRow]:
        self._check()
        found = [s for s in reversed(self.kept.values()) if search in s.title and owner in {None, s.owner}]
        if before is not None:
            found = found[[s.id for s in found].index(before) + 1 :]
        return found[:limit]

    async def session(self, session: str) -> SessionRow:
        self._check()
        if session not in self.kept:
            raise NotFound(f"there is no session {session}")
        return self.kept[session]

    async def utterances(
        self, session: str, limit: int | None = None, *, after: UtteranceRow | None = None
    ) -> Sequence[UtteranceRow]:
        found = self.said.get(session, [])
        if after is not None:
            found = found[[one.id for one in found].index(after.id) + 1 :]
        return found[:limit]

    async def latest(self, session: str, limit: int) -> Sequence[UtteranceRow]:
        return self.said.get(session, [])[-limit:]

    async def utterance(self, utterance: str) -> UtteranceRow:
        for said in self.said.values():
            for one in said:
                if one.id == utterance:
                    return one
        raise NotFound(f"there is no utterance {utterance}")

    async def turns(self, session: str, limit: int | None = None, *, after: int = -1) -> Sequence[TurnRow]:
        return [TurnRow(1, {"first_audio_ms": 900.0}, [])] if after < 1 else []

    async def history(self, session: str) -> Sequence[Message]:
        return [Message(role=u.speaker, content=u.transcript or "") for u in self.said.get(session, [])]

    async def last_turn(self, session: str) -> int:
        return max((u.turn for u in self.said.get(session, [])), default=0)

    async def open_audio(
        self, utterance: str, start: int = 0, end: int | None = None, *, tier: Tier = "fast"
    ) -> Audio:
        data = self.sound[utterance]
        stop = len(data) if end is None else end

        async def chunks() -> AsyncIterator[bytes]:
            for at in range(start, stop, 1000):
                yield data[at : min(at + 1000, stop)]

        return Audio("audio/flac", len(data), start, stop, "ab" * 32, chunks())

    async def rename_session(self, session: str, title: str) -> None:
        kept = await self.session(session)
        self.kept[session] = replace(kept, title=title.strip())

    async def retry_rendering(self, utterance: str) -> None:
        found = await self.utterance(utterance)
        if found.speaker != "assistant":
            raise NotFound(f"utterance {utterance} is not a spoken reply")

    async def delete_session(self, session: str) -> bool:
        del self.kept[session]
        for utterance in self.said.pop(session, []):
            del self.sound[utterance.id]
        return True

    async def renew_statistics(self) -> None:
        pass

    async def unfinished_deletions(self, owner: str) -> int:
        return 0

    async def forget_waiting(self, owner: str) -> None:
        pass

    async def names_of(self, owner: str, until: datetime | None = None) -> Sequence[str]:
        return [s.id for s in self.kept.values() if s.owner == owner]

    async def sentences_of(
        self, owner: str, until: datetime | None = None, limit: int = 200
    ) -> Sequence[str]:
        return []

    async def leftovers(self, names: Sequence[str], sentences: Sequence[str]) -> Sequence[Leftover]:
        return [Leftover("memory", len(set(names) & self.kept.keys()))]

    async def delete_utterance(self, utterance: str) -> bool:
        found = await self.utterance(utterance)
        self.said[found.session_id].remove(found)
        return True

    async def deletion(self, kind: DeletionKind, subject: str) -> Deletion | None:
        return None


@dataclass
class InMemoryRuntime:
    """As the wiring makes it, from fakes."""

    __test__ = False

    settings: Settings = field(default_factory=lambda: make_settings())
    engines: Engines = field(default_factory=quick_engines)
    store: MemoryArchive | None = None
    loaded: Sequence[EngineSource] = (
        EngineSource("asr", "whisper-small", "whisper", licence="MIT"),
        EngineSource("llm", "/somewhere/secret/tiny.gguf", "llama"),
        EngineSource("tts", "kokoro", "kokoro", licence="Apache-2.0"),
        EngineSource("vad", "silero", "silero"),
    )
    hq: HqTier | None = None
    voices: VoiceLibrary | None = None
    analysis: AnalysisService | None = None
    tasks: Supervisor = field(default_factory=Supervisor)
    schedulers: Sequence[Scheduler] = field(default_factory=lambda: (Scheduler("cores", 2),))
    events: dict[str, list[Event]] = field(default_factory=dict)
    conversations: dict[str, Conversation] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

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
        noted = self.events.setdefault(session, [])
        async with Conversation(
            self.engines,
            self.settings.dialogue,
            session,
            [*observers, noted.append],
            reply_options=reply_options or ReplyOptions(),
            earlier=earlier,
            first_turn=first_turn,
        ) as conversation:
            self.conversations[session] = conversation
            try:
                yield conversation
            finally:
                self.ended.add(session)


def make_settings(
    *, key: str = "", dialogue: Mapping[str, Any] | None = None, home: Path | None = None, **server: Any
) -> Settings:
    """Settings that ask neither environment nor files for what a test depends on.

    Without a key everybody may come in, unless ``open`` says otherwise.
    """
    server = {"open": not key and "allowed_hosts" not in server, **server}
    return Settings(
        home=home or Path(gettempdir()) / f"kuaimei-test-{os.getpid()}",
        server=ServerSettings(port=0, api_key=SecretStr(key), **server),
        dialogue=DialogueSettings(**(dialogue or {})),
        voice="",
    )


async def eventually(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until ``condition`` holds; fail if it never does."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Served:
    """Where it can be reached."""

    runtime: InMemoryRuntime
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    def client(self, key: str = "none") -> AsyncOpenAI:
        """The official client, as anybody would set it up."""
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)


@asynccontextmanager
async def serving(
    runtime: InMemoryRuntime | None = None,
    page: Page | None = None,
    *,
    authentication: Authentication | None = None,
    **changed: Any,
) -> AsyncIterator[Served]:
    """Serve ``server`` on a free port of loopback for the length of the block."""
    runtime = replace(runtime or InMemoryRuntime(), **changed)
    server = make_server(create_app(runtime, page, authentication=authentication), runtime.settings.server)
    running = asyncio.ensure_future(server.serve())
    await eventually(lambda: server.started or running.done())
    try:
        yield Served(runtime, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await running
