"""Two people with a key each, at one server with a real store and a library of voices."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import httpx

from kuaimei.dialogue.events import UserText
from kuaimei.dialogue.idle_monitor import IdleMonitor
from kuaimei.engines.scheduling import Scheduler
from kuaimei.people.authentication import Authentication
from kuaimei.people.keys import digest, new_key, prefix_of
from kuaimei.runtime import Runtime
from kuaimei.settings import Settings
from kuaimei.store import Recorder, Store
from kuaimei.store.people import Person, Role
from tests.support.server.app_server import InMemoryRuntime, Served, eventually, serving
from tests.support.server.webrtc_client import calling_engines
from tests.support.store.talking import now, sound, take_turn
from tests.support.voices.running_library import CONSENT, RunningLibrary, audio, living
from tests.support.voices.running_library import eventually as until

__all__ = ["SECRET", "Somebody", "Two", "two"]

SECRET = "我的祕密是地下室的密碼"
"""What only one of them said."""


@dataclass
class Somebody:
    """A person with a key, and a client that shows it.

    Attributes:
        ids: Of what is theirs, by the names that routes give to ids.
    """

    person: Person
    key: str
    key_id: str
    http: httpx.AsyncClient
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> dict[str, str]:
        """The header by which they come in."""
        return {"Authorization": f"Bearer {self.key}"}


@dataclass
class Two:
    """A server, and who has keys to it."""

    living: RunningLibrary
    served: Served
    anna: Somebody
    ben: Somebody

    @property
    def store(self) -> Store:
        """Where everything is kept."""
        return self.living.store

    async def own(self, somebody: Somebody, words: str = SECRET) -> None:
        """Give somebody a session with recordings, a voice, a rating and a comparison."""
        owner = somebody.person.id
        session = await self.store.create_session({"agent": "test"}, owner=owner)
        recorder: Recorder = self.store.recorder(session, owner=owner, voice="zf_one")
        take_turn(recorder, 1, words, sound(16_000), f"好的，{words}。", sound(24_000, 1))
        recorder(UserText(2, now(), words))
        await recorder.close()
        voice = await self.living.library.add(
            audio(2.0, 2.5, 3.0),
            name=f"{words}的聲音",
            consent=CONSENT.model_copy(update={"speaker": words}),
            owner=owner,
        )
        await eventually_ready(self.living, voice.id, owner)
        trial = await self.store.preferences.begin(owner, "voices", voice.id, "zf_one", swapped=False)
        await self.store.preferences.judge(trial.id, owner, "a", words)
        utterance = (await self.store.utterances(session))[0].id
        somebody.ids |= {"session": session, "utterance": utterance, "voice": voice.id, "trial": trial.id}


async def eventually_ready(living: RunningLibrary, voice: str, owner: str) -> None:
    """Wait until somebody's voice can be spoken in."""

    async def ready() -> bool:
        return (await living.library.voice(voice, owner)).state == "ready"

    await until(ready)


@asynccontextmanager
async def two(settings: Settings, *, roles: tuple[Role, Role] = ("member", "member")) -> AsyncIterator[Two]:
    """Both of them, and the server."""
    async with living(settings, learn="none") as both:
        engines = calling_engines(synthesizer=both.bank)
        whole = Runtime(
            both.library.context.settings,
            engines,
            both.store,
            (),
            (Scheduler("cores", 2),),
            IdleMonitor(settle_s=0.01),
            voices=both.library,
        )
        authentication = Authentication(settings.server)
        async with serving(cast(InMemoryRuntime, whole), authentication=authentication) as served:
            people = []
            for name, role in zip(("陳怡君", "ben"), roles, strict=True):
                person = await both.store.people.add(name, role)
                key = new_key()
                kept = await both.store.keys.add(person.id, sha256=digest(key), prefix=prefix_of(key))
                client = httpx.AsyncClient(
                    base_url=served.url,
                    headers={"Authorization": f"Bearer {key}"},
                    timeout=60,
                    trust_env=False,
                )
                people.append(Somebody(person, key, kept.id, client))
            await eventually(lambda: all(authentication.identify(one.key) for one in people))
            try:
                yield Two(both, served, *people)
            finally:
                for somebody in people:
                    await somebody.http.aclose()
