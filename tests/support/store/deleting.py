"""A session, an utterance and a voice with all that can hang on them, and a deletion that is cut off.

As a process, one that kills itself in the middle of it: ``deleting.py HOME DATABASE KIND MOMENT``.
"""

import asyncio
import os
import signal
import sys
import types
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, cast

import numpy as np

from kuaimei.dialogue.events import UserText
from kuaimei.settings import AnalysisSettings, Settings, StoreSettings
from kuaimei.store import Store, open_store
from kuaimei.store.analyses import AnalysisResult
from kuaimei.store.deletions import Deletion
from kuaimei.store.due_analyses import AnalysisVersion
from kuaimei.store.ratings import RatingScores
from kuaimei.store.rows import Boundary
from tests.support.store.talking import now, sound, take_turn

T = TypeVar("T")
Kind: TypeAlias = Literal["session", "utterance", "voice"]

KINDS: tuple[Kind, ...] = ("session", "utterance", "voice")
SAID, ANSWERED, TYPED = "鳳梨酥sentinelsaid", "鳳梨酥sentinelanswered", "鳳梨酥sentineltyped"
WORDS = ("sentinelsaid", "sentinelanswered", "sentineltyped", "sentineltitle", "sentinelvoice")
_BASIS = AnalysisVersion("e1", "h1")
_ROW: dict[str, Any] = {
    "owner": "local",
    "name": "sentinelvoice",
    "state": "ready",
    "duration_s": 5.0,
    "consent": {"speaker": "sentinelvoice"},
    "learning": {},
}


@dataclass
class Life:
    """Ids of what there is."""

    session: str
    user: str
    reply: str
    voice: str

    def subject(self, kind: Kind) -> str:
        return {"session": self.session, "utterance": self.reply, "voice": self.voice}[kind]


async def live(store: Store, settings: Settings, number: int = 0) -> Life:
    """Everything that can hang on a session and on a voice."""
    session, voice = f"sess_life{number}", f"voice_life{number}"
    await store.voices.add(voice, **_ROW)
    for name in ("reference.flac", "judge.flac", "style.npy", "decoder.npz"):
        await store.voices.put_file(voice, name, b"sentinelvoice")
    for path in (
        settings.home / "learning" / voice / "style" / "reference.wav",
        settings.home / "cache" / "voices" / f"{voice}.0123.mp3",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sentinelvoice")
    recorder = store.recorder(session, voice=voice)
    take_turn(recorder, 1, SAID, sound(4000), ANSWERED, sound(4000))
    recorder(UserText(2, now(), TYPED))
    await recorder.close()
    await store.rename_session(session, "sentineltitle")
    user, reply, _ = await store.utterances(session)
    order = await store.renderings.begin(reply.id)
    assert order is not None
    await store.renderings.save(
        order, np.zeros(2400, np.int16), 24_000, engine="e", clauses=[Boundary(0, 0.0, 100.0)], took_s=1.0
    )
    for said in (user, reply):
        assignment = await store.analyses.claim(said.id, _BASIS)
        assert assignment is not None
        drawn = {"frame_ms": 10.0, "f0_hz": [100.0], "pauses": []}
        await store.analyses.save(assignment, AnalysisResult("too_short", {}, None, drawn, 1.0))
    await store.ratings.rate(user.id, "local", "me", RatingScores(3, 3, 3))
    await judge(store, reply.id)
    await store.defer("transcribe", user.id)
    await store.defer("prepare_voice", voice)
    return Life(session, user.id, reply.id, voice)


async def judge(store: Store, reply: str) -> None:
    trial = await store.preferences.begin("local", "tiers", "hq", "fast", swapped=False, utterance=reply)
    await store.preferences.judge(trial.id, "local", "a", "sentinelanswered")


async def delete(store: Store, kind: Kind, subject: str) -> bool:
    how: dict[Kind, Callable[[str], Coroutine[Any, Any, bool]]] = {
        "session": store.delete_session,
        "utterance": store.delete_utterance,
        "voice": store.delete_voice,
    }
    return await how[kind](subject)


class Moments:
    """Counts every moment at which the work it is wrapped around waits, and strikes at one of them.

    Args:
        moment: Which; 0 is before anything has been done.
        strike: What happens then.
    """

    def __init__(self, moment: int, strike: Callable[[], object]) -> None:
        self.count = 0
        self._moment = moment
        self._strike = strike

    def within(self, store: Store) -> None:
        """Count in all that a deletion does, also in a task of its own."""
        request, run = store.deletions.request, store.deletions._run

        async def counted_request(kind: Kind, subject: str, *, session: str = "") -> Deletion:
            return await self._counted(request(kind, subject, session=session))

        async def counted_run(deletion: Deletion) -> bool:
            return await self._counted(run(deletion))

        store.deletions.request = counted_request  # type: ignore[method-assign]
        store.deletions._run = counted_run  # type: ignore[method-assign]

    @types.coroutine
    def _counted(self, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        send: Any = None
        error: BaseException | None = None
        while True:
            if self.count == self._moment:
                self._strike()
            self.count += 1
            try:
                waited = work.send(send) if error is None else work.throw(error)
            except StopIteration as end:
                return cast("T", end.value)
            send = error = None
            try:
                send = yield waited
            except BaseException as thrown:
                error = thrown


async def be_a_victim(settings: Settings, kind: Kind, moment: int) -> None:
    async with open_store(settings) as store:
        life = await live(store, settings)
        print(life.session, life.user, life.reply, life.voice, flush=True)
        moments = Moments(moment, lambda: os.kill(os.getpid(), signal.SIGKILL))
        moments.within(store)
        await delete(store, kind, life.subject(kind))
        print("deleted", moments.count, flush=True)


if __name__ == "__main__":
    kept = StoreSettings(database_url=sys.argv[2])
    asyncio.run(
        be_a_victim(
            Settings(home=Path(sys.argv[1]), store=kept, analysis=AnalysisSettings(enabled=False)),
            cast("Kind", sys.argv[3]),
            int(sys.argv[4]),
        )
    )
